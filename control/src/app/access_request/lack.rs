//! A new request, and whether there is something to ask for.

use model::access::{Denied, builtin};
use model::role::Verb;
use model::{Invalid, Key, Scope};

use super::want::{self, Want};
use super::wrong;
use crate::app::sight::Sight;
use crate::app::user::fault;
use crate::refusal::Refusal;

/// Bytes of what people say to each other.
const MESSAGE: usize = 500;

/// Bytes of a field's path.
pub(crate) const FIELD: usize = 1_024;

/// A request for access that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessRequest {
    /// What is to be done.
    pub verb: Verb,
    /// With which object.
    pub key: Key,
    /// The field that an update is to change; the update of anything, if none.
    pub field: Option<String>,
    /// Why, in the words of who asks.
    pub message: String,
}

/// All that is wrong with a new request by itself.
pub(super) fn of_new(new: &NewAccessRequest) -> Vec<Invalid> {
    let mut faults: Vec<_> = of_message(&new.message).into_iter().collect();
    if let Some(field) = &new.field {
        if new.verb != Verb::Update {
            faults.push(fault("field", "only Update is of a field"));
        }
        if !(1..=FIELD).contains(&field.len()) || field.chars().any(char::is_control) {
            let text = format!("a field has 1 to {FIELD} bytes, none of control");
            faults.push(fault("field", text));
        } else if want::field(field).is_none() {
            let text = format!("'{field}' is no field such as spec.hostnames");
            faults.push(fault("field", text));
        }
    }
    faults
}

pub(super) fn of_message(message: &str) -> Option<Invalid> {
    let is_control = |letter: char| letter.is_control() && letter != '\n';
    let text = format!("a message has at most {MESSAGE} bytes, none of control but line ends");
    (message.len() > MESSAGE || message.chars().any(is_control)).then(|| fault("message", text))
}

/// That there is something to ask for: an object that may be read, and what may not be done with it,
/// though a Grant of its workspace could give it.
pub(super) fn lacking(sight: &Sight, want: &Want) -> Result<(), Refusal> {
    let (world, key) = (&sight.world, &want.key);
    let is_there = world.objects.contains_key(key);
    let api = want.api(world);
    let asked = want.asked(api.as_ref());
    match sight.world.directory.permit(&sight.rights, &asked) {
        Err(Denied::Hidden) => return Err(Refusal::hidden(key)),
        // What cannot be read is not told from what is not there.
        _ if world.aside(key).is_some() => return Err(Refusal::hidden(key)),
        _ if !is_there && want.verb != Verb::Create => return Err(Refusal::hidden(key)),
        _ if is_there && want.verb == Verb::Create => {
            let text = format!("{key} is there already; ask for Update of it");
            return Err(wrong("verb", text));
        }
        Ok(_) => {
            let by = world.directory.by(&sight.rights, &asked).into_iter();
            let by: Vec<_> = by.map(ToString::to_string).collect();
            let text = format!("you may do this already, allowed by {}", by.join(", "));
            return Err(wrong("verb", text));
        }
        Err(Denied::Forbidden { .. }) => {}
    }
    if want.scope == Scope::Platform {
        let text = format!(
            "{key} is the platform's, where a Grant holds everywhere; ask an admin of the platform"
        );
        return Err(wrong("namespace", text));
    }
    match builtin::least(&asked) {
        Some(_) => Ok(()),
        None => {
            let text = format!("no role of a workspace gives {want}; ask an admin of the platform");
            Err(wrong("verb", text))
        }
    }
}
