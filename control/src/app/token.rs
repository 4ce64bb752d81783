//! Tokens by which programs act for a user.

use model::{Invalid, Name, Scope, access::builtin};
use store::token::Token;
use time::Duration;

use super::user::fault;
use super::{App, Op};
use crate::authn::{Caller, Narrowed, secret};
use crate::moment::micros;
use crate::refusal::Refusal;

/// How long a token lasts at most.
const LONGEST: Duration = Duration::hours(8760);
/// Good tokens of one user.
const TOKENS: usize = 200;

/// A token that is to be.
#[derive(Debug)]
pub struct NewToken {
    /// What its user calls it.
    pub name: String,
    /// How long it lasts.
    pub lasts: Duration,
    /// Where it may be used; everywhere if there is none.
    pub scope: Option<String>,
    /// The built-in role whose rules bound it.
    pub role: Option<String>,
}

impl App {
    /// The caller's tokens, also those that are no longer good; oldest first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn token_list(&self, caller: &Caller) -> Result<Vec<Token>, Refusal> {
        Ok(self.store.token_list(&caller.id).await?)
    }

    /// Makes a token for the caller, and tells it this once. It outlasts no token that made it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn token_create(
        &self,
        caller: &Caller,
        op: &Op,
        new: NewToken,
    ) -> Result<(Token, String), Refusal> {
        caller.whole()?;
        let (narrowed, mut faults) = of_new(&new);
        let now = micros(op.now);
        let is_good =
            |one: &&Token| one.revoked.is_none() && one.expires.is_none_or(|expires| expires > now);
        if self.store.token_list(&caller.id).await?.iter().filter(is_good).count() >= TOKENS {
            faults.push(fault("", format!("you have {TOKENS} tokens; revoke one first")));
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let (wanted, most) = (micros(op.now + new.lasts), caller.token_expires());
        let secret = format!("{}{}", secret::TOKEN, secret::random()?);
        let token = Token {
            id: uuid::Uuid::now_v7().to_string(),
            user: caller.id.clone(),
            name: new.name,
            hash: store::digest(secret.as_bytes()),
            scopes: serde_json::to_string(&narrowed).unwrap_or_default(),
            created: now,
            expires: Some(most.map_or(wanted, |most| most.min(wanted))),
            revoked: None,
            seen: None,
        };
        let said = op.said("create", &format!("token {}", token.id), token.name.clone());
        self.store.token_create(&token, &said).await?;
        Ok((token, secret))
    }

    /// Revokes a token of the caller's for good.
    ///
    /// # Errors
    /// [`Refusal::None`] where the caller has no such token.
    pub async fn token_revoke(&self, caller: &Caller, op: &Op, id: &str) -> Result<(), Refusal> {
        let tokens = self.store.token_list(&caller.id).await?;
        let token = tokens.iter().find(|token| token.id == id);
        let token = token.ok_or_else(|| Refusal::None("such token".to_owned()))?;
        // A token may end itself, whatever it is good for else.
        if !caller.is_token(id) {
            caller.whole()?;
        }
        let said = op.said("revoke", &format!("token {id}"), token.name.clone());
        self.store.token_revoke(id, &said).await?;
        Ok(())
    }
}

/// What a token is to be narrowed to, and all that is wrong with it.
fn of_new(new: &NewToken) -> (Narrowed, Vec<Invalid>) {
    let mut faults = Vec::new();
    if !(1..=100).contains(&new.name.chars().count()) || new.name.chars().any(char::is_control) {
        faults.push(fault("name", "a name has 1 to 100 characters, none of control"));
    }
    if new.lasts <= Duration::ZERO || new.lasts > LONGEST {
        faults.push(fault("expiresIn", "a token lasts more than nothing and at most 8760h"));
    }
    let scope = new.scope.clone().map(Scope::try_from).transpose();
    let scope = scope.map_err(|wrong| faults.push(fault("scope", wrong))).ok().flatten();
    let built_in = |role: &String| Name::parse(role).ok().filter(|r| builtin::role(r).is_some());
    let role = new.role.as_ref().and_then(built_in);
    if let (Some(word), None) = (&new.role, &role) {
        let words: Vec<_> = builtin::ROLES.iter().map(|(role, _)| *role).collect();
        let text = format!("'{word}' is no built-in role: {}", words.join(", "));
        let nearest = model::nearest(word, words.into_iter());
        faults.push(Invalid { nearest, ..fault("role", text) });
    }
    (Narrowed { scope, role }, faults)
}
