//! Every way to prove oneself on the way of a request, and who is known by them.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Name;
use model::authn::Require;

use super::CompiledAuthn;
use crate::apikey::{ApiKeys, KeyError};
use crate::explain::{MethodStory, PolicyStory};
use crate::facts::Facts;
use crate::jwt::{self, Issuer, TokenError};
use crate::level::Level;
use crate::principal::{Believed, Principal, Proof};

/// The credential methods of all levels, gathered once.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    /// The policies that have them, each with its level.
    policies: Vec<(usize, Arc<CompiledAuthn>)>,
    /// Whether one of them is by token.
    has_issuers: bool,
    /// The headers that carry keys, each once.
    key_headers: Vec<HeaderName>,
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
    key_headers: Vec<HeaderName>,
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
    #[error("the key in the header '{header}' is refused: {fault}")]
    ApiKey { header: HeaderName, fault: KeyError },
    #[error("the bearer token is refused: {0}")]
    Token(TokenError),
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

    /// Remembers where keys stand, so that explain never shows one.
    pub(crate) fn hide(&mut self, headers: &[HeaderName]) {
        self.key_headers = headers.to_vec();
    }

    pub(crate) fn is_key_header(&self, name: &HeaderName) -> bool {
        self.key_headers.contains(name)
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
        let mut methods = Methods::default();
        for (level, policy) in policies(levels) {
            for (_, keys) in policy.api_keys() {
                if !methods.key_headers.contains(keys.header()) {
                    methods.key_headers.push(keys.header().clone());
                }
            }
            methods.has_issuers |= policy.issuers().next().is_some();
            methods.policies.push((level, Arc::clone(policy)));
        }
        if methods.has_issuers {
            methods.challenges.push(HeaderValue::from_static("Bearer"));
        }
        let keys = methods.key_headers.iter();
        let keys = keys.map(|name| HeaderValue::try_from(format!("ApiKey header=\"{name}\"")));
        methods.challenges.extend(keys.filter_map(Result::ok));
        methods
    }

    /// What each policy of a level makes of who is known.
    pub(crate) fn stories(&self, level: usize, known: &Known) -> impl Iterator<Item = PolicyStory> {
        self.placed().filter(move |policy| policy.1 == level).map(|(place, _, policy)| {
            let methods = policy.methods.iter().enumerate().map(|(at, method)| MethodStory {
                method: method.name.clone(),
                proved: known.by.contains(&(place, at)),
            });
            PolicyStory {
                policy: Arc::clone(&policy.key),
                rules: Vec::new(),
                methods: methods.collect(),
                require: policy.require,
            }
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
        self.challenges.is_empty()
    }

    /// The headers that carry keys.
    pub(crate) fn key_headers(&self) -> &[HeaderName] {
        &self.key_headers
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
        let mut known = Known::default();
        for header in &self.key_headers {
            self.prove_key(header, facts.headers, &mut known)
                .map_err(|fault| Refusal::ApiKey { header: header.clone(), fault })?;
        }
        if self.has_issuers {
            self.prove_token(facts, &mut known).map_err(Refusal::Token)?;
        }
        Ok(known)
    }

    fn prove_key(
        &self,
        header: &HeaderName,
        headers: &HeaderMap,
        known: &mut Known,
    ) -> Result<(), KeyError> {
        let mut lines = headers.get_all(header).iter();
        let Some(line) = lines.next() else { return Ok(()) };
        if lines.next().is_some() {
            return Err(KeyError::Several);
        }
        let digest = crate::apikey::digest(line.as_bytes());
        let before = known.all.len();
        for (method, keys) in self.keys().filter(|(_, keys)| keys.header() == header) {
            if let Some(caller) = keys.find(&digest) {
                known.prove(&method, Arc::clone(caller));
            }
        }
        if known.all.len() == before { Err(KeyError::Unknown) } else { Ok(()) }
    }

    fn prove_token(&self, facts: &Facts<'_>, known: &mut Known) -> Result<(), TokenError> {
        let mut lines = facts.headers.get_all(AUTHORIZATION).iter();
        let Some(line) = lines.next() else { return Ok(()) };
        if lines.next().is_some() {
            return Err(TokenError::Several);
        }
        let Some(token) = jwt::bearer(line) else { return Ok(()) };
        let token = jwt::Token::parse(token)?;
        let mut outcome = Err(TokenError::IssuerUnknown);
        for (method, issuer) in self.issuers_of(&token) {
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

    /// Each policy behind its place and its level.
    fn placed(&self) -> impl Iterator<Item = (usize, usize, &CompiledAuthn)> {
        let policies = self.policies.iter().enumerate();
        policies.map(|(place, (level, policy))| (place, *level, &**policy))
    }
}

/// A method by its place among those of its policy, and that behind its own place and its level.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    policy: (usize, usize, &'a CompiledAuthn),
    method: usize,
}

/// Every policy of the levels that could be read, with its level.
fn policies(levels: &[Arc<Level>]) -> impl Iterator<Item = (usize, &Arc<CompiledAuthn>)> {
    let each = levels.iter().enumerate();
    each.flat_map(|(index, level)| level.authn().iter().map(move |policy| (index, policy)))
}
