//! Every way to prove oneself on the way of a request, and who is known by them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use model::Name;
use model::authn::Require;
use model::header::spelling;

use super::CompiledAuthn;
use super::place::{Place, Realm, Several, behind};
use super::tell::Told;
use crate::apikey::{ApiKeys, KeyError, Shown};
use crate::consumer::Certificates;
use crate::explain::{MethodStory, PolicyStory};
use crate::facts::{Certificate, Facts};
use crate::jwt::{self, Issuer, TokenError};
use crate::level::Level;
use crate::login::{self, LoggedIn, Login, Visit};
use crate::principal::{Believed, Principal, Proof};
use crate::revoked::{Out, Revoked};

/// The scheme of tokens (RFC 6750).
const BEARER: &str = "Bearer";

/// The credential methods of all levels, gathered once.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    /// The policies that have them, each with its level.
    policies: Vec<(usize, Arc<CompiledAuthn>)>,
    /// Where keys may stand, each place once.
    keys_at: Vec<Place>,
    /// The same of tokens.
    tokens_at: Vec<Place>,
    /// Of these, what no backend gets.
    kept: Vec<Place>,
    /// The headers that carry any of it.
    headers: Vec<HeaderName>,
    /// The headers that tell backends who is calling.
    told: Option<Arc<Told>>,
    /// What a 401 says of how to prove oneself.
    challenges: Vec<HeaderValue>,
}

/// Who proved who it is, and for which levels that counts.
#[derive(Debug, Default)]
pub(crate) struct Known {
    all: Vec<Someone>,
    /// By which policies of ours.
    proofs: Vec<Proof>,
    /// By which methods: the place of the policy, and its own within that.
    by: Vec<(usize, usize)>,
    /// The headers that carry what proves it.
    headers: Vec<HeaderName>,
    /// Those that tell it to backends.
    told: Option<Arc<Told>>,
}

/// Somebody, and for whose rules that counts.
#[derive(Debug, Clone)]
pub(crate) struct Someone {
    pub(crate) principal: Arc<Principal>,
    /// For those of this level and narrower ones.
    pub(crate) level: usize,
    /// For those of this Api, or that name it; for all where there is none.
    pub(crate) api: Option<Name>,
}

impl fmt::Display for Someone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.api {
            Some(api) => write!(f, "{} of Api '{api}'", self.principal),
            None => self.principal.fmt(f),
        }
    }
}

/// A credential that was shown and that no method accepts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the key in {place} is refused: {fault}")]
    ApiKey { place: Place, fault: KeyError },
    #[error("the token in {place} is refused: {fault}")]
    Token { place: Place, fault: TokenError },
    #[error("the certificate is refused: {0}")]
    Certificate(KeyError),
    #[error("{}", crate::revoked::told(.whom, *.out))]
    Revoked { whom: Arc<Principal>, out: Out },
}

impl Known {
    /// Takes over who was proved elsewhere.
    pub(crate) fn believe(&mut self, users: &[Believed]) {
        let someone = |user: &Believed| {
            let Believed { principal, api } = user.clone();
            Someone { principal, level: 0, api }
        };
        self.all.extend(users.iter().map(someone));
    }

    /// Who proved themselves by a method, of several the first.
    fn by_method(&self, method: (usize, usize)) -> Option<&Arc<Principal>> {
        let at = self.by.iter().position(|by| *by == method)?;
        self.proofs.get(at).map(|proof| &proof.principal)
    }

    fn prove(&mut self, method: &Placed<'_>, principal: Arc<Principal>) {
        let Placed { policy: (place, level, policy), method } = *method;
        self.proofs.push(Proof {
            principal: Arc::clone(&principal),
            policy: Arc::clone(&policy.key),
            api: policy.api.clone(),
        });
        self.by.push((place, method));
        self.all.push(Someone { principal, level, api: None });
    }

    /// The same, if nobody of them is shut out.
    #[cold]
    fn without(self, revoked: &Revoked, facts: &Facts<'_>) -> Result<Self, Refusal> {
        let (now, all) = (facts.now, self.proofs.iter());
        let mut out = all.filter_map(|Proof { principal, policy, .. }| {
            // A session that counts was not asked for by when its last token was issued.
            let session = facts.sessions.iter().find(|one| Arc::ptr_eq(&one.principal, principal));
            let since = session.map(|one| one.since);
            let out = revoked.out(principal, |one| *one == policy.namespace, since, now)?;
            Some(Refusal::Revoked { whom: Arc::clone(principal), out })
        });
        match out.next() {
            Some(refusal) => Err(refusal),
            None => Ok(self),
        }
    }

    /// Who proved themselves here, and by what; taken out.
    pub(crate) fn take_proofs(&mut self) -> Vec<Proof> {
        std::mem::take(&mut self.proofs)
    }

    /// Who counts for the rules of `level`: proved there or at a broader level.
    pub(crate) fn at(&self, level: usize) -> impl Iterator<Item = &Someone> {
        self.all.iter().filter(move |one| one.level <= level)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Someone] {
        &self.all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn first(&self) -> Option<&Arc<Principal>> {
        self.all.iter().min_by_key(|one| one.level).map(|one| &one.principal)
    }

    /// Remembers where credentials stand, so that explain never shows one.
    pub(crate) fn hide(&mut self, headers: &[HeaderName]) {
        self.headers = headers.to_vec();
    }

    /// Whether backends are told by this header who is calling, at this level or a broader one, so that what
    /// callers write there does not go on.
    pub(crate) fn is_told_by(&self, name: &HeaderName, level: usize) -> bool {
        let told = self.told.as_ref().and_then(|told| told.level(name));
        told.is_some_and(|told| told <= level)
    }

    pub(crate) fn is_credential(&self, name: &HeaderName) -> bool {
        self.headers.contains(name)
    }
}

#[cfg(test)]
impl FromIterator<(usize, Arc<Principal>)> for Known {
    fn from_iter<I: IntoIterator<Item = (usize, Arc<Principal>)>>(principals: I) -> Self {
        let all = principals.into_iter();
        let all = all.map(|(level, principal)| Someone { principal, level, api: None }).collect();
        Known { all, ..Known::default() }
    }
}

impl Methods {
    pub(crate) fn gather(levels: &[Arc<Level>]) -> Self {
        let (mut methods, mut told) = (Methods::default(), Told::default());
        for (level, policy) in policies(levels) {
            for (_, keys) in policy.api_keys() {
                add(&mut methods.keys_at, keys.places());
                add(&mut methods.kept, keys.places());
            }
            for (_, issuer) in policy.issuers() {
                add(&mut methods.tokens_at, issuer.places());
                if !issuer.forwards() {
                    add(&mut methods.kept, issuer.places());
                }
            }
            policy.methods.iter().for_each(|method| told.add(&method.tells, level));
            methods.policies.push((level, Arc::clone(policy)));
        }
        let all = methods.keys_at.iter().chain(&methods.tokens_at);
        methods.headers = all.filter_map(Place::header).collect();
        methods.told = (!told.is_empty()).then(|| Arc::new(told));
        methods.challenges = challenges(&methods.keys_at, &methods.tokens_at);
        if methods.logins().next().is_some() {
            methods.headers.push(COOKIE);
        }
        if methods.certificates().next().is_some() {
            methods.challenges.push(HeaderValue::from_static("ClientCertificate"));
        }
        methods
    }

    /// What each policy of a level makes of who is known.
    pub(crate) fn stories(&self, level: usize, known: &Known) -> impl Iterator<Item = PolicyStory> {
        self.placed().filter(move |policy| policy.1 == level).map(|(place, _, policy)| {
            let methods = policy.methods.iter().enumerate().map(|(at, method)| MethodStory {
                method: method.name.clone(),
                proved: known.by.contains(&(place, at)),
            });
            let (methods, require) = (methods.collect(), policy.require);
            PolicyStory { methods, require, ..PolicyStory::of(&policy.key) }
        })
    }

    /// The first policy that requires a proof that was not given.
    pub(crate) fn unmet(&self, known: &Known) -> Option<&CompiledAuthn> {
        let mut unmet = self.policies.iter().enumerate().filter(|(place, (_, policy))| {
            let is_proved = |method| known.by.contains(&(*place, method));
            let mut methods = 0..policy.methods.len();
            match policy.require {
                None => false,
                Some(Require::Any) => !methods.any(is_proved),
                Some(Require::All) => !methods.all(is_proved),
            }
        });
        unmet.next().map(|(_, (_, policy))| &**policy)
    }

    /// Whether nobody can prove anything here.
    pub(crate) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The headers that carry credentials.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// Takes off what no backend gets, or not of a caller.
    pub(crate) fn strip(&self, head: &mut Parts) {
        self.kept.iter().for_each(|place| place.strip(head));
        self.told.iter().for_each(|told| told.strip(&mut head.headers));
    }

    /// The headers that tell backends who is calling, if some do.
    pub(crate) fn told(&self) -> Option<&Arc<Told>> {
        self.told.as_ref()
    }

    /// What backends are told of who is known: of one caller, whom the broadest level knows, there the first
    /// method that tells anything, and whatever else those methods tell that know the same one. A header belongs
    /// to the first of these that names it, also where that has nothing to say.
    #[cold]
    pub(crate) fn tell(&self, known: &Known) -> Vec<(HeaderName, HeaderValue)> {
        let mut told = Vec::new();
        if self.told.is_none() {
            return told;
        }
        let (mut whom, mut named) = (None, Vec::new());
        for (place, (_, policy)) in self.policies.iter().enumerate() {
            for (at, method) in policy.methods.iter().enumerate() {
                let Some(principal) = known.by_method((place, at)) else { continue };
                if method.tells.is_empty() || *whom.get_or_insert(principal) != principal {
                    continue;
                }
                for tell in &method.tells {
                    let spelling = spelling(tell.header.as_str());
                    if !named.contains(&spelling) {
                        told.extend(tell.of(principal).map(|value| (tell.header.clone(), value)));
                        named.push(spelling);
                    }
                }
            }
        }
        told
    }

    /// A query without any credential.
    pub(crate) fn off<'q>(&self, query: &'q str) -> Cow<'q, str> {
        let all = self.keys_at.iter().chain(&self.tokens_at);
        all.fold(Cow::Borrowed(query), |query, place| place.off(query))
    }

    /// The values of `WWW-Authenticate` of a 401.
    pub(crate) fn challenges(&self) -> &[HeaderValue] {
        &self.challenges
    }

    /// Who is calling, by everything that is shown.
    ///
    /// # Errors
    /// The first credential that is shown and that no method accepts.
    pub(crate) fn prove(&self, facts: &Facts<'_>) -> Result<Known, Refusal> {
        let mut known = Known { told: self.told.clone(), ..Known::default() };
        for place in &self.keys_at {
            let proved = self.prove_key(place, facts, &mut known);
            proved.map_err(|fault| Refusal::ApiKey { place: place.clone(), fault })?;
        }
        for place in &self.tokens_at {
            let proved = self.prove_token(place, facts, &mut known);
            proved.map_err(|fault| Refusal::Token { place: place.clone(), fault })?;
        }
        if let Some(certificate) = facts.certificate {
            self.prove_certificate(certificate, facts, &mut known).map_err(Refusal::Certificate)?;
        }
        for one in sessions(facts) {
            let mut logins = self.logins();
            // A policy that changed since is compiled anew, and the sessions of its logins hold.
            if let Some((method, _)) = logins.find(|(_, login)| login.id == one.login.id) {
                known.prove(&method, Arc::clone(&one.principal));
            }
        }
        match facts.revoked {
            None => Ok(known),
            Some(revoked) => known.without(revoked, facts),
        }
    }

    /// What of a request belongs to logins.
    pub(crate) fn visit(&self, facts: &Facts<'_>) -> Option<Visit> {
        login::visit(&self.logins().map(|(_, login)| login), facts)
    }

    /// The logins whose callback is another's path, each with that: nobody is sent there.
    pub(crate) fn idle_logins(&self) -> impl Iterator<Item = (&Arc<Login>, &Arc<Login>)> {
        let all = self.logins().map(|(_, login)| login);
        self.logins().filter_map(move |(_, login)| {
            let owner = login::owner(&all, &login.callback)?;
            (!Arc::ptr_eq(owner, login)).then_some((login, owner))
        })
    }

    /// Where a browser is sent that lacks a proof and asks for a page; nowhere where it comes from, since it would come
    /// back for ever.
    pub(crate) fn way_in(&self, facts: &Facts<'_>) -> Option<&Arc<Login>> {
        let is_in = |login: &Login| sessions(facts).any(|one| one.login.id == login.id);
        let is_idle =
            |login: &Arc<Login>| self.idle_logins().any(|(one, _)| Arc::ptr_eq(one, login));
        let mut logins = self.logins().map(|(_, login)| login);
        let login = logins.find(|login| !is_in(login) && !is_idle(login))?;
        login::is_page(facts).then_some(login)
    }

    /// One that is nobody's is no wrong one: the listener has taken it.
    fn prove_certificate(
        &self,
        certificate: &Certificate,
        facts: &Facts<'_>,
        known: &mut Known,
    ) -> Result<(), KeyError> {
        let (mut outcome, mut is_known) = (Ok(()), false);
        for (method, certificates) in self.certificates() {
            match certificates.find(certificate, facts.now) {
                Ok(Some(caller)) => {
                    known.prove(&method, caller);
                    is_known = true;
                }
                Ok(None) => {}
                Err(fault) => outcome = outcome.and(Err(fault)),
            }
        }
        if is_known { Ok(()) } else { outcome }
    }

    fn prove_key(
        &self,
        place: &Place,
        facts: &Facts<'_>,
        known: &mut Known,
    ) -> Result<(), KeyError> {
        let found = place.find(facts).map_err(|Several| KeyError::Several)?;
        let Some(key) = found else { return Ok(()) };
        let shown = Shown::read(place, &key)?;
        let mut outcome = Err(KeyError::Unknown);
        for (method, keys) in self.keys().filter(|(_, keys)| keys.places().contains(place)) {
            match keys.find(&shown, facts.now) {
                Ok(caller) => {
                    known.prove(&method, Arc::clone(caller));
                    outcome = Ok(());
                }
                Err(fault) if outcome == Err(KeyError::Unknown) => outcome = Err(fault),
                Err(_) => {}
            }
        }
        outcome
    }

    fn prove_token(
        &self,
        place: &Place,
        facts: &Facts<'_>,
        known: &mut Known,
    ) -> Result<(), TokenError> {
        let found = place.find(facts).map_err(|Several| TokenError::Several)?;
        let Some(value) = found else { return Ok(()) };
        let token = match (place, behind(&value, BEARER)) {
            (_, Some(token)) => token,
            // Some other scheme is nobody's here.
            (Place::Header(name), None) if name == AUTHORIZATION => return Ok(()),
            (_, None) => &value,
        };
        let token = jwt::Token::parse(token)?;
        let mut outcome = Err(TokenError::IssuerUnknown);
        let issuers = self.issuers_of(&token);
        for (method, issuer) in issuers.filter(|(_, one)| one.places().contains(place)) {
            match issuer.verify(&token, facts.now) {
                Ok(principal) => {
                    known.prove(&method, Arc::new(principal));
                    outcome = Ok(());
                }
                Err(fault) if outcome.is_err() => outcome = Err(fault),
                Err(_) => {}
            }
        }
        outcome
    }

    fn issuers_of<'a>(
        &'a self,
        token: &'a jwt::Token<'a>,
    ) -> impl Iterator<Item = (Placed<'a>, &'a Issuer)> {
        let all = self.placed().flat_map(|policy| {
            policy.2.issuers().map(move |(method, issuer)| (Placed { policy, method }, issuer))
        });
        all.filter(move |(_, issuer)| issuer.issuer() == token.issuer())
    }

    fn keys(&self) -> impl Iterator<Item = (Placed<'_>, &ApiKeys)> {
        self.placed().flat_map(|policy| {
            policy.2.api_keys().map(move |(method, keys)| (Placed { policy, method }, keys))
        })
    }

    fn certificates(&self) -> impl Iterator<Item = (Placed<'_>, &Certificates)> {
        self.placed().flat_map(|policy| {
            policy.2.certificates().map(move |(method, one)| (Placed { policy, method }, one))
        })
    }

    pub(crate) fn logins(&self) -> impl Iterator<Item = (Placed<'_>, &Arc<Login>)> + Clone {
        self.placed().flat_map(|policy| {
            policy.2.logins().map(move |(method, login)| (Placed { policy, method }, login))
        })
    }

    /// Each policy behind its place and its level.
    fn placed(&self) -> impl Iterator<Item = (usize, usize, &CompiledAuthn)> + Clone {
        let policies = self.policies.iter().enumerate();
        policies.map(|(place, (level, policy))| (place, *level, &**policy))
    }
}

/// The sessions that count: one of before its user may log in anew is none, and no wrong one.
fn sessions<'f>(facts: &Facts<'f>) -> impl Iterator<Item = &'f LoggedIn> {
    let Facts { sessions, revoked, now, .. } = *facts;
    sessions.iter().filter(move |one| {
        let out = revoked
            .and_then(|revoked| revoked.out(&one.principal, |_| false, Some(one.since), now));
        out != Some(Out::Before)
    })
}

fn add(all: &mut Vec<Place>, places: &[Place]) {
    for place in places {
        if !all.contains(place) {
            all.push(place.clone());
        }
    }
}

/// How to prove oneself, as a 401 tells it.
fn challenges(keys: &[Place], tokens: &[Place]) -> Vec<HeaderValue> {
    let bearer = (!tokens.is_empty()).then(|| HeaderValue::from_static("Bearer"));
    let keys = keys.iter().map(|place| match place {
        Place::Header(name) => format!("ApiKey header=\"{name}\""),
        Place::Query(name) => format!("ApiKey query=\"{}\"", quoted(name)),
        Place::Cookie(name) => format!("ApiKey cookie=\"{name}\""),
        Place::Basic(Realm(realm)) => {
            format!("Basic realm=\"{}\", charset=\"UTF-8\"", quoted(realm))
        }
    });
    bearer.into_iter().chain(keys.filter_map(|text| HeaderValue::try_from(text).ok())).collect()
}

/// Text within quotes (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A method by its place among those of its policy, and that behind its own place and its level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    policy: (usize, usize, &'a CompiledAuthn),
    method: usize,
}

/// Every policy of the levels that could be read, with its level.
fn policies(levels: &[Arc<Level>]) -> impl Iterator<Item = (usize, &Arc<CompiledAuthn>)> {
    let each = levels.iter().enumerate();
    each.flat_map(|(index, level)| level.authn().iter().map(move |policy| (index, policy)))
}
