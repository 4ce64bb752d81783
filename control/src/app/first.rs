//! The first start: a user who may do everything, where there is no user yet.

use std::path::Path;

use model::Name;
use store::user::User;
use time::OffsetDateTime;

use super::App;
use super::user::of_password;
use crate::authn::{first, secret};
use crate::moment::micros;
use crate::refusal::Refusal;

/// How the first user came to be.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// There were users already.
    Nobody,
    /// With the password that was given.
    Given,
    /// With a password that was made, and lies in the file.
    Made,
}

impl App {
    /// Where there is no user, makes `admin`, who may do everything: with this password, or with
    /// one that is made and written to `file`. The file goes when the password was used or changed.
    ///
    /// # Errors
    /// [`Refusal`]; the next start tries again.
    pub async fn user_found(
        &self,
        given: Option<String>,
        file: &Path,
        now: OffsetDateTime,
    ) -> Result<First, Refusal> {
        // So that the first unknown user takes no longer than the next.
        self.authn.passwords.warm().await?;
        if !self.store.user_list("", "", 1).await?.is_empty() {
            self.authn.first.watch(file);
            return Ok(First::Nobody);
        }
        if let Some(fault) = given.as_deref().and_then(of_password) {
            return Err(Refusal::Invalid(vec![fault]));
        }
        let made = given.is_none().then(secret::random).transpose()?;
        let password = given.or_else(|| made.clone()).unwrap_or_default();
        let hash = self.authn.passwords.hash(password).await?;
        if let Some(made) = &made {
            first::write(file, made).map_err(|error| Refusal::Store(Box::new(error)))?;
        }
        let name = Name::parse(first::ADMIN).expect("a word of lower-case letters is a name");
        // Before there is a user who could sign in and find that they may do nothing.
        self.found(&name, now).await?;
        let at = micros(now);
        let user = User {
            id: uuid::Uuid::now_v7().to_string(),
            name: name.to_string(),
            password: Some(hash),
            disabled: false,
            created: at,
            updated: at,
        };
        let said = store::Entry {
            at,
            actor: name.to_string(),
            verb: "create".to_owned(),
            object: format!("user {name}"),
            outcome: "done".to_owned(),
            detail: "the first user".to_owned(),
        };
        self.store.user_create(&user, &said).await?;
        self.authn.first.watch(file);
        Ok(if made.is_some() { First::Made } else { First::Given })
    }
}
