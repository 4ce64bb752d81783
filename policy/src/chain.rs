//! What one rule of a route does with a request, as a closed list of steps in one order.
//!
//! Decide first, act second: [`Chain::decide`] is pure and says pass or answer; only for a
//! request that passes do [`Chain::alter_request`] and [`Chain::alter_response`] change heads.

use std::sync::Arc;

use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::Kind;
use model::route::{FilterType, HttpFilter};

use crate::access::{Judgement, RuleRef, audits, judge};
use crate::authn::{Known, Methods, Refusal, Told};
use crate::border::Border;
use crate::cors::{Cors, Reader};
use crate::explain::{Changes, HeaderLine, HeaderStory, RewriteStory, Story, tell};
use crate::facts::Facts;
use crate::headers::HeaderChange;
use crate::level::Level;
use crate::limit::{Charge, Counted, Limit, Limits, Take, charges};
use crate::login::{Login, Visit};
use crate::principal::{Principal, Proof};
use crate::reason::Reason;
use crate::redirect::Redirect;
use crate::revoked::Out;
use crate::rewrite::{Rewrite, TargetTooLong};

/// Everything that is done to a request or response between route and backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Whether the Api answers at all.
    Lifecycle,
    /// Which pages of other origins may ask, and read the answer.
    Cors,
    /// Is there room for more from this address.
    AddressLimits,
    /// Does it come from where it logged in, log out, or bring a session.
    Login,
    /// Who is calling.
    Authn,
    /// May it pass.
    Access,
    /// May it pass where no policy speaks.
    Border,
    /// Is there room for it.
    Limits,
    /// Answer with a redirect.
    Redirect,
    /// Take off credentials that were meant for us, and what says in our place who is calling.
    Strip,
    /// Tell the backend who is calling.
    Tell,
    /// Change request headers.
    RequestHeaders,
    /// Change host and path.
    Rewrite,
    /// Change response headers.
    ResponseHeaders,
    /// Say that the Api will be gone.
    Notice,
}

/// The order of all steps; each row says why it stands where it stands.
pub const ORDER: &[(Step, &str)] = &[
    (Step::Lifecycle, "first, since what is not there yet or any more is so for every caller"),
    (Step::Cors, "before authn, since browsers ask without credentials and have to read refusals"),
    (Step::AddressLimits, "before authn, so that they bound guesses at credentials, too"),
    (Step::Login, "before authn, since it brings what authn looks at; behind what bounds guesses"),
    (Step::Authn, "before access, since rules name callers and a wrong credential is refused"),
    (Step::Access, "before anything that answers, so that nothing tells a stranger what is here"),
    (Step::Border, "after access, since it says what becomes of what no policy has spoken of"),
    (Step::Limits, "after border, so that what may not pass uses up nobody's share"),
    (Step::Redirect, "before anything changes the request, since it speaks of what was asked"),
    (Step::Strip, "before headers are set, so that a filter may set the backend's own credential"),
    (Step::Tell, "behind what is taken off, so that nobody else tells who is calling"),
    (Step::RequestHeaders, "before the rewrite, since only the rewrite may set the host"),
    (Step::Rewrite, "last before the backend, so that all else saw the path that was judged"),
    (Step::ResponseHeaders, "on the way back, once, whoever answered behind us"),
    (Step::Notice, "last, on every answer of ours too, so that no filter takes it off"),
];

/// What one rule of a route does with a request.
#[derive(Debug, Default)]
pub struct Chain {
    levels: Vec<Arc<Level>>,
    methods: Methods,
    /// Whether some policy has rules that audit.
    audits: bool,
    // Few rules have any of these, and there may be very many rules: so each is boxed.
    limits: Option<Box<Limits>>,
    redirect: Option<Box<Redirect>>,
    request_headers: Option<Box<HeaderChange>>,
    rewrite: Option<Box<Rewrite>>,
    response_headers: Option<Box<HeaderChange>>,
    cors: Option<Box<Cors>>,
    border: Option<Box<Border>>,
}

/// Why the filters of a rule make no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No header name, or a value that no header carries.
    #[error("header '{0}' has no valid name or value")]
    Header(String),
    /// No path.
    #[error("'{0}' is no path that a request can have")]
    Path(String),
    /// No single host.
    #[error("'{0}' is no single host")]
    Host(String),
    /// No origin.
    #[error("'{0}' is no origin")]
    Origin(String),
    /// No status that redirects.
    #[error("{0} is no status of a redirect")]
    Status(u16),
    /// A filter that this version does not enforce.
    #[error("filter {0:?} is not enforced by this version")]
    Unenforced(FilterType),
}

/// How far the chain came with a request.
#[derive(Debug)]
pub enum Decision {
    /// To its end.
    Done(Verdict),
    /// To a question that only the world outside can answer: [`Chain::resume`] goes on with what it says.
    Ask(Box<Pending>),
}

/// A question that the chain asks.
#[derive(Debug, Clone)]
pub enum Ask {
    /// To count one more in each of these, in their order, up to the first that is used up and is not only tried;
    /// then those before it are to be as they were.
    Count(Vec<Charge>),
    /// To do what a login has to do with this request. Whose sessions it brought is told by
    /// [`Facts::sessions`] from then on.
    Visit(Visit),
    /// To send a browser to where it logs in, in the place of this answer.
    Begin(Arc<Login>, Box<Answer>),
}

/// What is said to a question.
#[derive(Debug, Clone)]
pub enum Said {
    /// To [`Ask::Count`]: what came of each that was asked, in their order. What is missing counts as used up.
    Counted(Vec<Take>),
    /// To [`Ask::Visit`] of sessions: what the browser keeps in the place of what it brought, as values of
    /// `Set-Cookie`.
    Sessions(Vec<HeaderValue>),
    /// To every other [`Ask::Visit`], and to [`Ask::Begin`]: what it is answered.
    Answered(Box<Answer>),
}

/// A decision that waits for what is said to a question.
#[derive(Debug)]
pub struct Pending {
    /// The question.
    pub ask: Ask,
    /// The place in [`ORDER`] of the step that asks it.
    at: usize,
    known: Known,
    pass: Pass,
}

/// What is to happen with a request.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It goes on to a backend.
    Pass(Pass),
    /// It is answered here.
    Answer(Answer),
}

/// A request that may go on.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// Who is calling: whom the deciding rule named, else the one that the broadest level knows.
    pub principal: Option<Arc<Principal>>,
    /// Everybody who proved who they are here, and by which policy.
    pub proofs: Vec<Proof>,
    /// The narrowest allow rule that matched.
    pub rule: Option<RuleRef>,
    /// Whose pages may read the answer.
    pub reader: Reader,
    /// What few have.
    pub aside: Option<Box<Aside>>,
}

/// What few requests have that may go on, so that the others carry nothing of it.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// By what the backend is told who is calling.
    pub told: Vec<(HeaderName, HeaderValue)>,
    /// The rules that audit it, which decided nothing: of each policy the first. And the limits that are only
    /// tried and would have refused it.
    pub audited: Vec<RuleRef>,
    /// What the answer tells of limits.
    pub limits: Vec<(HeaderName, HeaderValue)>,
    /// What the browser keeps of sessions from now on, as values of `Set-Cookie`.
    pub cookies: Vec<HeaderValue>,
}

/// An answer of our own.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Why.
    pub reason: Reason,
    /// The status.
    pub status: StatusCode,
    /// Headers that belong to it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The rule that decided, if one did.
    pub rule: Option<RuleRef>,
    /// Who was calling, if known.
    pub principal: Option<Arc<Principal>>,
    /// The cause of a refused credential, for the log alone: it would help who guesses. It holds
    /// no key and no token.
    pub detail: Option<Box<str>>,
    /// What few have, beside.
    pub aside: Option<Box<Aside>>,
}

impl Answer {
    /// An answer that says nothing but its reason.
    pub fn new(reason: Reason) -> Self {
        let (headers, rule, principal, detail, aside) = (Vec::new(), None, None, None, None);
        Answer { reason, status: reason.status(), headers, rule, principal, detail, aside }
    }
}

impl Chain {
    /// Compiles a rule's filters, under `levels` from the broadest to the narrowest. Mirrors are
    /// passed over: they choose backends, which is the table's part.
    ///
    /// # Errors
    /// [`ChainError`] for what the model's own check would have refused.
    pub fn compile(levels: Vec<Arc<Level>>, filters: &[HttpFilter]) -> Result<Self, ChainError> {
        let policies = levels.iter().flat_map(|level| level.access());
        let audits = policies.into_iter().any(|policy| !policy.audit.is_empty());
        let methods = Methods::gather(&levels);
        let limits = Limits::gather(&levels);
        let mut chain = Chain { methods, levels, audits, limits, ..Chain::default() };
        for filter in filters {
            chain.add(filter)?;
        }
        Ok(chain)
    }

    /// The same within a border.
    #[must_use]
    pub fn within(self, border: Border) -> Self {
        let border = (!border.is_open()).then(|| Box::new(border));
        Chain { border, ..self }
    }

    fn add(&mut self, filter: &HttpFilter) -> Result<(), ChainError> {
        let missing = ChainError::Unenforced(filter.kind);
        match filter.kind {
            FilterType::RequestHeaderModifier => {
                let change = filter.request_header_modifier.as_ref().ok_or(missing)?;
                self.request_headers = Some(Box::new(HeaderChange::compile(change)?));
            }
            FilterType::ResponseHeaderModifier => {
                let change = filter.response_header_modifier.as_ref().ok_or(missing)?;
                self.response_headers = Some(Box::new(HeaderChange::compile(change)?));
            }
            FilterType::RequestRedirect => {
                let redirect = filter.request_redirect.as_ref().ok_or(missing)?;
                self.redirect = Some(Box::new(Redirect::compile(redirect)?));
            }
            FilterType::UrlRewrite => {
                let rewrite = filter.url_rewrite.as_ref().ok_or(missing)?;
                self.rewrite = Some(Box::new(Rewrite::compile(rewrite)?));
            }
            FilterType::Cors => {
                let cors = filter.cors.as_ref().ok_or(missing)?;
                self.cors = Some(Box::new(Cors::compile(cors)?));
            }
            FilterType::RequestMirror => {}
            FilterType::ExternalAuth | FilterType::ExtensionRef => return Err(missing),
        }
        Ok(())
    }

    /// The limits that it asks, those before credentials first.
    pub fn limits(&self) -> impl Iterator<Item = &Arc<Limit>> {
        let lists = self.limits.iter().flat_map(|limits| [&limits.early, &limits.late]);
        lists.flatten().map(|(_, limit)| limit)
    }

    /// What is to happen with a request; `matched_prefix` is the path prefix that the rule
    /// matched, if it matched one. Pure, and free of cost where there is nothing to decide.
    pub fn decide(&self, facts: &Facts<'_>, matched_prefix: Option<&str>) -> Decision {
        let pass = Pass { reader: self.reader(facts), ..Pass::default() };
        self.go_on(0, Known::default(), pass, facts, matched_prefix)
    }

    /// Goes on with a decision after what was said to its question.
    pub fn resume(
        &self,
        pending: Pending,
        said: &Said,
        facts: &Facts<'_>,
        matched_prefix: Option<&str>,
    ) -> Decision {
        let Pending { ask, at, known, mut pass } = pending;
        let counted = match (&ask, said) {
            (_, Said::Answered(answer)) => {
                return Decision::Done(self.answered((**answer).clone(), pass));
            }
            (_, Said::Sessions(cookies)) => {
                if !cookies.is_empty() {
                    pass.aside.get_or_insert_default().cookies.clone_from(cookies);
                }
                return self.go_on(at + 1, known, pass, facts, matched_prefix);
            }
            (Ask::Count(charges), Said::Counted(takes)) => Counted::new(charges, takes),
            // Nobody is let in by an answer to something else.
            (Ask::Visit(_) | Ask::Begin(..), Said::Counted(_)) => {
                return Decision::Done(self.answered(Answer::new(Reason::LoginRefused), pass));
            }
        };
        if !counted.tried.is_empty() || !counted.headers.is_empty() {
            let aside = pass.aside.get_or_insert_default();
            aside.audited.extend(counted.tried);
            aside.limits.extend(counted.headers);
        }
        if let Some(answer) = counted.refused {
            return Decision::Done(self.answered(answer, pass));
        }
        self.go_on(at + 1, known, pass, facts, matched_prefix)
    }

    /// What would happen with a request, were there room for it wherever it is counted: what asks again for what
    /// was let pass, or only tries, counts nothing. Sessions are those that `facts` tell; nobody is sent to log in.
    pub fn uncounted(&self, facts: &Facts<'_>, matched_prefix: Option<&str>) -> Verdict {
        let mut decision = self.decide(facts, matched_prefix);
        loop {
            match decision {
                Decision::Done(verdict) => return verdict,
                Decision::Ask(pending) => {
                    let Pending { ask, at, known, pass } = *pending;
                    let answer = match ask {
                        Ask::Count(_) | Ask::Visit(Visit::Sessions(_)) => None,
                        Ask::Visit(Visit::Return(_)) => Some(Answer::new(Reason::LoginRefused)),
                        Ask::Visit(Visit::Leave(_)) => Some(Answer::new(Reason::LoggedOut)),
                        Ask::Begin(_, answer) => Some(*answer),
                    };
                    if let Some(answer) = answer {
                        return self.answered(answer, pass);
                    }
                    decision = self.go_on(at + 1, known, pass, facts, matched_prefix);
                }
            }
        }
    }

    // Every request takes this way, and what it returns is large.
    #[inline(always)]
    fn go_on(
        &self,
        from: usize,
        mut known: Known,
        mut pass: Pass,
        facts: &Facts<'_>,
        matched_prefix: Option<&str>,
    ) -> Decision {
        for (at, (step, _)) in ORDER.iter().enumerate().skip(from) {
            let answer = match step {
                Step::AddressLimits | Step::Limits => {
                    if let Some(ask) = self.count(*step, facts, &known, &pass) {
                        return Decision::Ask(Box::new(Pending { ask, at, known, pass }));
                    }
                    None
                }
                Step::Login => {
                    if let Some(visit) = self.methods.visit(facts) {
                        let ask = Ask::Visit(visit);
                        return Decision::Ask(Box::new(Pending { ask, at, known, pass }));
                    }
                    None
                }
                Step::Lifecycle => self.border.as_ref().and_then(|border| border.lifeless()),
                Step::Cors => self.preflight(facts, &pass.reader),
                Step::Authn => self.authn(facts, &mut known, &mut pass),
                Step::Access => self.access(facts, &known, &mut pass),
                Step::Border => self.border.as_ref().and_then(|border| border.denial()),
                Step::Redirect => self.redirect(facts, matched_prefix),
                Step::Strip
                | Step::Tell
                | Step::RequestHeaders
                | Step::Rewrite
                | Step::ResponseHeaders
                | Step::Notice => None,
            };
            if let Some(answer) = answer {
                if let Some(login) = self.way_in(&answer, facts) {
                    let ask = Ask::Begin(Arc::clone(login), Box::new(answer));
                    return Decision::Ask(Box::new(Pending { ask, at, known, pass }));
                }
                return Decision::Done(self.answered(answer, pass));
            }
        }
        Decision::Done(Verdict::Pass(pass))
    }

    /// Where a browser is sent in the place of an answer that asks for a credential.
    #[inline]
    fn way_in(&self, answer: &Answer, facts: &Facts<'_>) -> Option<&Arc<Login>> {
        match answer.reason {
            Reason::CredentialMissing => self.methods.way_in(facts),
            _ => None,
        }
    }

    /// Where browsers log in.
    pub fn logins(&self) -> impl Iterator<Item = &Arc<Login>> {
        self.methods.logins().map(|(_, login)| login)
    }

    /// Those of them whose callback is the path of a broader one, each with that: nobody is sent there.
    pub fn idle_logins(&self) -> impl Iterator<Item = (&Arc<Login>, &Arc<Login>)> {
        self.methods.idle_logins()
    }

    fn answered(&self, mut answer: Answer, pass: Pass) -> Verdict {
        answer.principal = answer.principal.or(pass.principal);
        answer.aside = pass.aside;
        if let Some(aside) = answer.aside.as_mut().filter(|_| answer.reason.is_denial()) {
            // Rules audit what passes.
            aside.audited.retain(|rule| rule.policy.kind == Kind::RateLimitPolicy);
        }
        Verdict::Answer(self.noted(answer, &pass.reader))
    }

    /// The counts that a request goes into at a step of limits, if there are any.
    fn count(&self, step: Step, facts: &Facts<'_>, known: &Known, pass: &Pass) -> Option<Ask> {
        let limits = self.limits.as_ref()?;
        let limits = if step == Step::AddressLimits { &limits.early } else { &limits.late };
        let charges = charges(limits, facts, known, pass.principal.as_ref());
        (!charges.is_empty()).then_some(Ask::Count(charges))
    }

    fn reader(&self, facts: &Facts<'_>) -> Reader {
        self.cors.as_ref().map(|cors| cors.reader(facts)).unwrap_or_default()
    }

    fn preflight(&self, facts: &Facts<'_>, reader: &Reader) -> Option<Answer> {
        self.cors.as_ref()?.preflight(facts, reader)
    }

    fn authn(&self, facts: &Facts<'_>, known: &mut Known, pass: &mut Pass) -> Option<Answer> {
        if self.methods.is_empty() && facts.users.is_empty() {
            return None;
        }
        let proved = match self.methods.is_empty() {
            true => Ok(Known::default()),
            false => self.methods.prove(facts),
        };
        match proved {
            Ok(proved) => {
                let unmet = self.methods.unmet(&proved).is_some() && !self.is_closed();
                *known = proved;
                known.believe(facts.users);
                if self.told().is_some() {
                    pass.aside.get_or_insert_default().told = self.methods.tell(known);
                }
                pass.proofs = known.take_proofs();
                pass.principal = known.first().cloned();
                unmet.then(|| self.refuse(None))
            }
            Err(refusal) if !self.is_closed() => Some(self.refuse(Some(&refusal))),
            // A level that could not be read answers for itself, in the next step.
            Err(_) => None,
        }
    }

    fn access(&self, facts: &Facts<'_>, known: &Known, pass: &mut Pass) -> Option<Answer> {
        if self.levels.is_empty() {
            return None;
        }
        match judge(&self.levels, facts, known) {
            Judgement::Allowed(by, whom) => {
                pass.rule = by.map(|by| by.policy.rule_ref(by.rule));
                if let Some(whom) = whom {
                    pass.principal = Some(Arc::clone(whom));
                }
                if self.audits {
                    let audited = audits(&self.levels, facts, known);
                    pass.aside.get_or_insert_default().audited.extend(audited);
                }
                None
            }
            Judgement::Denied(by) => {
                let rule = Some(by.policy.rule_ref(by.rule));
                Some(Answer { rule, ..Answer::new(Reason::AccessDenied) })
            }
            Judgement::NotAllowed if known.is_empty() && !self.methods.is_empty() => {
                Some(self.refuse(None))
            }
            Judgement::NotAllowed => Some(Answer::new(Reason::AccessDenied)),
            Judgement::Closed => Some(Answer::new(Reason::PolicyUnreadable)),
        }
    }

    fn redirect(&self, facts: &Facts<'_>, prefix: Option<&str>) -> Option<Answer> {
        let redirect = self.redirect.as_ref()?;
        // Whoever it leads to is not to have what was shown here.
        let query = facts.query.map(|query| self.methods.off(query));
        let is_there = |query: &&str| !query.is_empty() || facts.query == Some("");
        let facts = &Facts { query: query.as_deref().filter(is_there), ..*facts };
        let Ok(location) = redirect.location(facts, prefix) else {
            return Some(Answer::new(Reason::PathInvalid));
        };
        let headers = vec![(LOCATION, location)];
        let status = redirect.status();
        Some(Answer { status, headers, ..Answer::new(Reason::Redirected) })
    }

    /// A 401, with how to prove oneself.
    fn refuse(&self, refusal: Option<&Refusal>) -> Answer {
        let reason = match refusal {
            // No credential would do better.
            Some(Refusal::Revoked { whom, out: Out::Whatever }) => {
                let (principal, refusal) =
                    (Some(Arc::clone(whom)), refusal.map(ToString::to_string));
                let detail = refusal.map(Into::into);
                return Answer { principal, detail, ..Answer::new(Reason::CallerRevoked) };
            }
            Some(_) => Reason::CredentialInvalid,
            None => Reason::CredentialMissing,
        };
        let challenge = |value: &HeaderValue| match (refusal, value.as_bytes()) {
            (Some(Refusal::Token { .. } | Refusal::Revoked { .. }), b"Bearer") => {
                HeaderValue::from_static("Bearer error=\"invalid_token\"")
            }
            _ => value.clone(),
        };
        let challenges = self.methods.challenges().iter().map(challenge);
        let headers = challenges.map(|value| (WWW_AUTHENTICATE, value)).collect();
        let detail = refusal.map(|refusal| refusal.to_string().into());
        Answer { headers, detail, ..Answer::new(reason) }
    }

    /// An answer of ours that has to be given after the chain let a request pass, to whom `reader` says.
    pub fn answer(&self, reason: Reason, reader: &Reader) -> Answer {
        self.noted(Answer::new(reason), reader)
    }

    /// An answer of what stands behind the chain, with what the chain adds to every answer.
    pub fn noted(&self, mut answer: Answer, reader: &Reader) -> Answer {
        if let Some(cors) = &self.cors {
            answer.headers.extend(cors.said(reader).chain(cors.varies()));
        }
        if let Some(notice) = self.notice() {
            answer.headers.extend(notice.set.iter().chain(&notice.add).cloned());
        }
        answer
    }

    /// The headers that tell backends who is calling, which no trailers may repeat; none where nobody is told.
    pub fn told(&self) -> Option<&Arc<Told>> {
        self.methods.told()
    }

    fn notice(&self) -> Option<&HeaderChange> {
        self.border.as_ref()?.notice()
    }

    fn is_closed(&self) -> bool {
        self.levels.iter().any(|level| level.is_closed())
    }

    /// Puts what is told of the caller in the place of what callers say of themselves, so that whatever reads the
    /// head before it is changed goes by that.
    pub fn tell_ahead(&self, pass: &[(HeaderName, HeaderValue)], headers: &mut HeaderMap) {
        if let Some(told) = self.told() {
            told.replace(pass, headers);
        }
    }

    /// Changes the head of a request that passes, of which [`Aside::told`] is said: credentials off, headers,
    /// host and path. The query stays.
    ///
    /// # Errors
    /// [`TargetTooLong`] where a rewrite makes no target that could be sent: then the head may
    /// not be sent either, and the request is answered as [`Reason::PathInvalid`].
    pub fn alter_request(
        &self,
        head: &mut http::request::Parts,
        told: &[(HeaderName, HeaderValue)],
        matched_prefix: Option<&str>,
    ) -> Result<(), TargetTooLong> {
        for (step, _) in ORDER {
            match step {
                Step::Strip => {
                    self.methods.strip(head);
                }
                Step::Tell => {
                    for (name, value) in told {
                        // A map that is full takes nothing more: then nobody is told.
                        let _full = head.headers.try_insert(name, value.clone());
                    }
                }
                Step::RequestHeaders => {
                    if let Some(change) = &self.request_headers {
                        change.apply(&mut head.headers);
                    }
                }
                Step::Rewrite => {
                    if let Some(rewrite) = &self.rewrite {
                        rewrite.apply(head, matched_prefix)?;
                    }
                }
                Step::Lifecycle
                | Step::Cors
                | Step::AddressLimits
                | Step::Login
                | Step::Authn
                | Step::Access
                | Step::Border
                | Step::Limits
                | Step::Redirect
                | Step::ResponseHeaders
                | Step::Notice => {}
            }
        }
        Ok(())
    }

    /// Changes the head of the backend's answer, or of ours that stands for it. Who may read it is
    /// said after what the filter changes, so that no cache gives it to others.
    pub fn alter_response(&self, head: &mut http::response::Parts, reader: &Reader) {
        if let Some(change) = &self.response_headers {
            change.apply(&mut head.headers);
        }
        if let Some(cors) = &self.cors {
            cors.apply(&mut head.headers, reader);
        }
        if let Some(notice) = self.notice() {
            notice.apply(&mut head.headers);
        }
    }

    /// Whether [`Chain::alter_response`] may change anything.
    pub fn changes_response(&self) -> bool {
        self.response_headers.is_some() || self.cors.is_some() || self.notice().is_some()
    }

    /// The whole story of what would be decided, were there room for it wherever it is counted: every level,
    /// policy, rule and limit, and what would decide.
    pub fn explain(&self, facts: &Facts<'_>, matched_prefix: Option<&str>) -> Story {
        self.explain_verdict(facts, &self.uncounted(facts, matched_prefix))
    }

    /// The whole story of what was decided.
    pub fn explain_verdict(&self, facts: &Facts<'_>, verdict: &Verdict) -> Story {
        tell(&self.levels, &self.methods, facts, verdict)
    }

    /// What is answered in the place of everything behind the rule, whatever its policies say: by the
    /// life of its Api, to a preflight, or by its redirect. It asks for no credential.
    pub fn explain_answer(&self, facts: &Facts<'_>, matched_prefix: Option<&str>) -> Option<Story> {
        let lifeless = self.border.as_ref().and_then(|border| border.lifeless());
        let closed = || self.is_closed().then(|| Answer::new(Reason::PolicyUnreadable));
        let preflight = || self.preflight(facts, &self.reader(facts));
        let redirect = || self.redirect(facts, matched_prefix);
        let answer = lifeless.or_else(preflight).or_else(closed).or_else(redirect)?;
        Some(Story::default().ended(&Verdict::Answer(answer)))
    }

    /// Where a request is redirected, if it is.
    pub fn explain_redirect(&self, facts: &Facts<'_>, prefix: Option<&str>) -> Option<String> {
        let location = self.redirect.as_ref()?.location(facts, prefix).ok()?;
        Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
    }

    /// Which headers tell the backend who is calling, if anybody is known, and what callers said in their place.
    /// Nothing is proved for it, so that whoever shows it needs none of what proves: a browser has not.
    fn explain_told(&self, facts: &Facts<'_>) -> Option<HeaderStory> {
        let told = self.told()?;
        let line = |name: &str| HeaderLine { name: name.to_owned(), value: None };
        let set: Vec<_> = told.spellings().map(line).collect();
        let is_set = |name: &&HeaderName| set.iter().any(|line| line.name == name.as_str());
        let sent = facts.headers.keys().filter(|name| told.names(name) && !is_set(name));
        let remove = sent.map(HeaderName::to_string).collect();
        Some(HeaderStory { set, remove, ..HeaderStory::default() })
    }

    /// What would be changed of a request that passes, and of its answer.
    pub fn explain_changes(&self, facts: &Facts<'_>, matched_prefix: Option<&str>) -> Changes {
        let headers = |change: &Option<Box<HeaderChange>>| {
            change.as_ref().map(|change| HeaderStory::tell(change, self.methods.headers()))
        };
        let rewrite = self.rewrite.as_ref();
        let mut response = headers(&self.response_headers);
        if let Some(cors) = &self.cors {
            response.get_or_insert_default().extend(cors.story(facts));
        }
        if let Some(notice) = self.notice() {
            response.get_or_insert_default().extend(HeaderStory::tell(notice, &[]));
        }
        let mut request = self.explain_told(facts);
        if let Some(filter) = headers(&self.request_headers) {
            request.get_or_insert_default().extend(filter);
        }
        Changes {
            rewrite: rewrite.map(|rewrite| RewriteStory::tell(rewrite, facts, matched_prefix)),
            request_headers: request,
            response_headers: response,
        }
    }
}

#[cfg(test)]
mod tests;
