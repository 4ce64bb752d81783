//! `audit`: who did what, and whether that is what was written.

use serde_json::Value;

use crate::app::Context;
use crate::args::people::{Audit, AuditCommand};
use crate::args::{Output, Show};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, printable, word};

/// Reads or verifies the audit.
///
/// # Errors
/// What the server refuses; to whoever is no admin of the platform there is none.
pub(crate) async fn run(context: &Context, args: &Audit) -> Result<Done, Failure> {
    if let Some(AuditCommand::Verify(show)) = args.command {
        return verify(context, show).await;
    }
    let answer = context.client.first(&Ask::get(&["audit"]), args.limit.count()).await?;
    show::answer(args.show.output, &answer, || table(items(&answer, "/items")))?;
    Ok(Done::Yes)
}

async fn verify(context: &Context, show: Show) -> Result<Done, Failure> {
    let answer = context.client.json(&Ask::get(&["audit", "verify"])).await?;
    let is_intact = answer["intact"] == true;
    if show.output != Output::Table {
        show::answer(show.output, &answer, String::new)?;
    } else if is_intact {
        show::result(&format!("intact: {} rows\n", word(&answer, "/rows")))?;
    }
    if !is_intact {
        let (row, reason) = (word(&answer, "/seq"), word(&answer, "/reason"));
        let words = format!("the audit was changed at row {row}: {reason}");
        show::note(printable(&words));
    }
    Ok(Done::when(is_intact))
}

fn table(rows: &[Value]) -> String {
    let mut table =
        Table::new(&["ROW", "WHEN", "BY", "WHAT", "OBJECT", "OUTCOME", "REVISION", "DETAIL"]);
    for row in rows {
        let [verb, object, outcome, revision, detail] =
            ["/verb", "/object", "/outcome", "/revision", "/detail"].map(|at| word(row, at));
        let (seq, actor) = (word(row, "/seq"), word(row, "/actor"));
        table.row([seq, when(row, "/at"), actor, verb, object, outcome, revision, detail]);
    }
    table.text()
}
