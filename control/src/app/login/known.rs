//! What is known of login providers: which there are, whose a name is, and whom to ask.

use std::sync::Arc;

use model::login::{CLIENT_SECRET, LoginProvider};
use model::{Key, Kind, Name, Resource, Scope};
use store::identity::Identity;

use crate::authn::platform_admins;
use crate::login::{Failure, provider};
use crate::world::World;

/// Who owns the platform; where nobody is called so, who may do everything.
pub(super) fn keepers(world: &World) -> Vec<String> {
    let owners = world.directory.owners(&Scope::Platform);
    let admins = || platform_admins(&world.directory);
    match owners.is_empty() {
        true => admins().into_iter().map(|name| format!("user '{name}'")).collect(),
        false => owners,
    }
}

/// Every provider.
pub(super) fn providers(world: &World) -> impl Iterator<Item = &Arc<LoginProvider>> {
    world.of_kind(Kind::LoginProvider).filter_map(|(_, object)| match &object.resource {
        Resource::LoginProvider(provider) => Some(provider),
        _ => None,
    })
}

fn key(kind: Kind, name: &Name) -> Key {
    Key::new(kind, Kind::LoginProvider.default_namespace(), name.clone())
}

/// The provider of this name.
pub(super) fn provider<'w>(
    world: &'w World,
    name: &str,
) -> Result<&'w Arc<LoginProvider>, Failure> {
    let none = || Failure::NoProvider(name.chars().take(253).collect());
    let key = key(Kind::LoginProvider, &Name::parse(name).map_err(|_| none())?);
    match world.objects.get(&key).map(|object| &object.resource) {
        Some(Resource::LoginProvider(provider)) => Ok(provider),
        _ => Err(none()),
    }
}

/// Whether who a provider's subject was may still come: while it is there, with the same issuer.
pub(in crate::app) fn stands(world: &World, identity: &Identity) -> bool {
    provider(world, &identity.provider).is_ok_and(|own| own.spec.issuer == identity.issuer)
}

/// Whether a provider may say a name that is new: the prefix of no other fits it better. One whose
/// prefix is empty could else say names of all others.
pub(super) fn is_own(world: &World, own: &LoginProvider, name: &Name) -> bool {
    let length = own.prefix().len();
    providers(world)
        .filter(|other| other.metadata.name != own.metadata.name)
        .map(|other| other.prefix())
        .all(|prefix| prefix.len() < length || !name.as_str().starts_with(&prefix))
}

pub(super) fn client_secret(
    world: &World,
    provider: &LoginProvider,
) -> Result<Option<String>, provider::Error> {
    let Some(secret) = &provider.spec.client_secret_ref else { return Ok(None) };
    let none = || provider::Error::NoSecret(secret.name.to_string());
    let found = world.objects.get(&key(Kind::Secret, &secret.name));
    let Some(Resource::Secret(found)) = found.map(|object| &object.resource) else {
        return Err(none());
    };
    let value = found.value(CLIENT_SECRET).ok_or_else(none)?;
    let text = std::str::from_utf8(value.expose()).map_err(|_| none())?;
    // The end of the line that editors and `echo` put there is not part of it.
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Whom to tell that a provider does not do as it should.
pub(super) fn contact(world: &World, provider: &LoginProvider) -> String {
    match provider.spec.contact.as_str() {
        "" => match keepers(world).as_slice() {
            [] => "whoever runs this installation".to_owned(),
            owners => owners.join(" or "),
        },
        contact => contact.to_owned(),
    }
}
