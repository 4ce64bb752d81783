//! Users: made, given passwords, shut out.

use std::net::IpAddr;

use model::{Invalid, Name, Scope};
use store::Entry;
use store::user::{Disabled, Keep, User};

use super::commit::TRIES;
use super::{App, Op};
use crate::World;
use crate::authn::{Caller, password, platform_admins, secret};
use crate::moment::micros;
use crate::refusal::Refusal;

impl App {
    /// The users behind `after` who have `text` in their names, by name, for a platform admin.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn user_list(
        &self,
        op: &Op,
        text: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<User>, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        Ok(self.store.user_list(text, after, limit).await?)
    }

    /// Makes a user with this password, or with one that is made and told once.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn user_create(
        &self,
        op: &Op,
        name: &str,
        password: Option<String>,
    ) -> Result<(User, Option<String>), Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let mut faults = Vec::new();
        let name = Name::parse(name)
            .map_err(|error| faults.push(fault("name", error.to_string())))
            .map_or_else(|()| String::new(), String::from);
        faults.extend(password.iter().filter_map(|password| of_password(password)));
        if faults.is_empty() && self.store.user_named(&name).await?.is_some() {
            faults.push(taken(&name));
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let made = password.is_none().then(secret::random).transpose()?;
        let password = password.or_else(|| made.clone()).unwrap_or_default();
        let user = User {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.clone(),
            password: Some(self.authn.passwords.hash(password).await?),
            disabled: false,
            created: micros(op.now),
            updated: micros(op.now),
        };
        let said = op.said("create", &format!("user {name}"), String::new());
        match self.store.user_create(&user, &said).await {
            Ok(()) => Ok((user, made)),
            Err(store::Error::Conflict(_)) => Err(Refusal::Invalid(vec![taken(&name)])),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a user another password: the caller themselves, who know the current one, or a
    /// platform admin. All sessions of the user end.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn user_password(
        &self,
        caller: &Caller,
        op: &Op,
        change: NewPassword,
    ) -> Result<(), Refusal> {
        let NewPassword { user: name, password, current, address } = change;
        let none = || Refusal::None(format!("user '{name}'"));
        let is_own = name == caller.name.as_str();
        if is_own {
            caller.whole()?;
        } else {
            self.admin(op, none).await?;
        }
        let user = self.store.user_named(&name).await?.ok_or_else(none)?;
        if user.password.is_none() {
            let text = format!("'{name}' signs in by a login provider alone, and has no password");
            return Err(Refusal::Forbidden(text));
        }
        if let Some(fault) = of_password(&password) {
            return Err(Refusal::Invalid(vec![fault]));
        }
        let by_admin = self.admin(op, none).await.is_ok();
        match current {
            Some(current) if is_own => {
                self.check_current(op, &user, current, address).await?;
            }
            None if is_own && !by_admin => {
                return Err(wrong("current", "is missing; say the current password"));
            }
            Some(_) | None => {}
        }
        let hash = self.authn.passwords.hash(password).await?;
        let said = op.said("change the password of", &format!("user {name}"), String::new());
        if !self.store.user_password(&user.id, &hash, &said).await? {
            return Err(none());
        }
        self.authn.first.changed(&name);
        Ok(())
    }

    /// Asks for the password of a user as signing in does: so often, and with a row in the audit
    /// where it is wrong.
    async fn check_current(
        &self,
        op: &Op,
        user: &User,
        current: String,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        let attempts = &self.authn.attempts;
        attempts.enter(&user.name, address, op.now).map_err(Refusal::TooManyAttempts)?;
        if self.authn.passwords.verify(current, user.password.clone()).await? {
            attempts.succeed(&user.name, address);
            return Ok(());
        }
        let (object, from) = (format!("user {}", user.name), format!("from {address}"));
        let said = op.said("change the password of", &object, from);
        self.store.audit_append(&[Entry { outcome: "refused".to_owned(), ..said }]).await?;
        Err(wrong("current", "this is not the current password"))
    }

    /// Shuts a user out for good, with their sessions and tokens; never the last platform admin.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn user_disable(&self, op: &Op, name: &str) -> Result<(), Refusal> {
        let none = || Refusal::None(format!("user '{name}'"));
        self.admin(op, none).await?;
        let user = self.store.user_named(name).await?.ok_or_else(none)?;
        let said = op.said("disable", &format!("user {name}"), String::new());
        for _ in 0..TRIES {
            let keep = keep(name, &*self.world().await?);
            match self.store.user_disable(&user.id, &keep, &said).await? {
                Disabled::Done => return Ok(()),
                Disabled::Moved => {}
                Disabled::Last => {
                    let text = format!(
                        "'{name}' is the last who may do everything; let somebody else first"
                    );
                    return Err(Refusal::Forbidden(text));
                }
            }
        }
        Err(Refusal::Busy)
    }
}

/// Who must stay when a user is shut out: where that is one who may do everything, another such.
/// Who they are is decided by what is the platform's.
fn keep(user: &str, world: &World) -> Keep {
    let admins = platform_admins(&world.directory);
    let is_admin = admins.iter().any(|admin| admin.as_str() == user);
    let others = admins.iter().filter(|admin| admin.as_str() != user);
    let one_of = is_admin.then(|| others.map(ToString::to_string).collect());
    let platform = world.scopes.get(&Scope::Platform).copied().unwrap_or(0);
    Keep { one_of, bases: vec![(Scope::Platform, platform)] }
}

/// A password that is to be another.
pub struct NewPassword {
    /// Whose.
    pub user: String,
    /// The new one.
    pub password: String,
    /// The one before, from the user themselves.
    pub current: Option<String>,
    /// Where the caller is.
    pub address: IpAddr,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword")
            .field("user", &self.user)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a password.
pub(crate) fn of_password(password: &str) -> Option<Invalid> {
    let (least, most) = (password::LENGTH.start(), password::LENGTH.end());
    let text = format!("a password has {least} to {most} bytes; this one has {}", password.len());
    (!password::LENGTH.contains(&password.len())).then(|| fault("password", text))
}

/// A fault of a request that is about no object.
pub(crate) fn fault(path: &str, reason: impl Into<String>) -> Invalid {
    let (path, reason) = (path.to_owned(), reason.into());
    Invalid { key: None, path, line: None, reason, nearest: None }
}

fn wrong(path: &str, reason: &str) -> Refusal {
    Refusal::Invalid(vec![fault(path, reason)])
}

fn taken(name: &str) -> Invalid {
    fault("name", format!("there is a user '{name}' already, or was one"))
}
