//! What Grants give: who may do what where, with a way to take it back.

use control::Refusal;
use control::app::GivenRole;
use leptos::prelude::*;
use model::role::Subject;
use model::{Key, Kind};

use super::Asked;
use crate::edit::remove_named;
use crate::form::{Done, Sent, take_away};
use crate::parts::table;

const ROLES: [&str; 6] = ["Who", "Role", "May", "Only for", "By", "Take it back"];

/// Grants in the section of this heading, each with a form of its page, which stands at `place`.
pub(super) fn list(asked: &Asked, heading: &str, given: &[GivenRole], place: &str) -> AnyView {
    let rows: Vec<_> = given.iter().map(|one| row(asked, one, place)).collect();
    table(heading.to_owned(), &ROLES, rows).into_any()
}

fn row(asked: &Asked, given: &GivenRole, place: &str) -> AnyView {
    let (meta, spec) = (&given.grant.metadata, &given.grant.spec);
    let who = spec.subjects.iter().map(|Subject { user, team }| match (user, team) {
        (_, Some(team)) => {
            view! { <a href=format!("/teams/{team}")>{format!("team {team}")}</a> " " }.into_any()
        }
        (user, None) => user.as_ref().map(|user| format!("user {user} ")).into_any(),
    });
    let may = match &given.rules {
        Some(rules) => rules.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        None => "nothing: there is no such role".to_owned(),
    };
    let apis: Vec<_> = spec.apis.iter().map(ToString::to_string).collect();
    let by = format!("{}/{}", meta.namespace, meta.name);
    let key = Key::new(Kind::Grant, meta.namespace.clone(), meta.name.clone());
    let take = given.may_take.then(|| {
        let words = ("Take back", format!("Take back what {by} gives"));
        take_away(asked, format!("{place}/take"), (&key, given.generation), words)
    });
    view! {
        <tr>
            <th scope="row">{who.collect_view()}</th>
            <td>{spec.role.as_ref().map(ToString::to_string)}</td>
            <td class="long">{may}</td>
            <td>{apis.join(", ")}</td>
            <td>{by}</td>
            <td>{take}</td>
        </tr>
    }
    .into_any()
}

/// Deletes a Grant, for whoever sent that from a page.
pub(crate) async fn take(sent: Sent) -> Result<Done, Refusal> {
    let receipt = remove_named(&sent, Kind::Grant).await?;
    Ok(Done::saved(sent.asked.uri.path(), &receipt))
}
