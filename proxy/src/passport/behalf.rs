//! On whose behalf one exchange is, from what came to what goes on.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use policy::{Believed, Proof};
use wire::Side;

use super::{Carried, PASSPORT, users};
use crate::http::Conn;
use crate::live::{Live, Service};
use crate::record::Record;
use crate::trace::{Parent, Ratio, TraceContext};

/// Finds out on whose behalf a request comes: by the passport that another proxy sends, or by the trace
/// under which the application beside this one is at work. No rule sees the header, whoever sent it.
pub(crate) fn admit(conn: &Conn, live: &Live, headers: &mut HeaderMap, record: &mut Record) {
    let passports = &conn.shared.passports;
    if let Some(from) = &conn.from {
        let credentials = conn.shared.ground.membership.now();
        let credentials = credentials.as_deref();
        match passports.read(conn.worker, headers, from, credentials, record.began_at) {
            Ok(behalf) => record.behalf = behalf.map(Arc::new),
            Err(refused) => record.refused = Some(Box::new(refused)),
        }
    } else if record.side == Side::Outbound {
        // A trace of our own making is nobody's.
        let is_theirs = record.trace.parent.is_some();
        let trace_id = record.trace.trace_id;
        record.behalf =
            is_theirs.then(|| passports.under_way.whose(trace_id, record.began)).flatten();
        // Whom another workspace knows by a name is nobody of that name here.
        let own = live.table.outbound.as_ref().map(|outbound| outbound.namespace());
        let known = record.behalf.as_ref().zip(own);
        let known = known.and_then(|(behalf, own)| behalf.users_for(&live.table, own).pop());
        record.principal = known.map(|user| user.principal);
    }
    // One look over the few names that came is cheaper than looking it up.
    if headers.keys().any(|name| *name == PASSPORT) {
        headers.remove(PASSPORT);
    }
}

/// Remembers for whom the application will be at work with a request that may pass. Where somebody else
/// is at work under the same trace, it is shown a fresh one, whose link is the one that came.
pub(crate) fn enter(conn: &Conn, live: &Live, record: &mut Record) {
    if record.from.is_none() || live.table.outbound.is_none() {
        return;
    }
    let under_way = &conn.shared.passports.under_way;
    let whose = || record.behalf.clone();
    let entered = under_way.enter(record.trace.trace_id, whose(), record.began);
    record._stay = match entered {
        Ok(stay) => Some(stay),
        Err(_) => {
            let TraceContext { trace_id, sampled, parent, .. } = record.trace;
            let link = parent.map(|span_id| Parent { trace_id, span_id, sampled });
            record.trace = TraceContext { sampled, ..TraceContext::fresh(Ratio::NONE, link) };
            under_way.enter(record.trace.trace_id, whose(), record.began).ok()
        }
    };
}

/// Who is calling, as far as the policies of this proxy's workload believe it.
pub(crate) fn believed(live: &Live, side: Side, behalf: Option<&Arc<Carried>>) -> Vec<Believed> {
    match (behalf, &live.table.inbound) {
        (Some(behalf), Some(inbound)) if side == Side::Inbound => {
            behalf.users_for(&live.table, &inbound.workload.namespace)
        }
        (Some(_) | None, _) => Vec::new(),
    }
}

/// The passport that goes on to a service: what came, with our own name behind it; or one for those who
/// proved at this edge who they are.
pub(crate) fn onward(
    conn: &Conn,
    live: &Live,
    service: &Service,
    proofs: &[Proof],
    record: &Record,
) -> Option<HeaderValue> {
    if !service.is_meshed || (record.behalf.is_none() && proofs.is_empty()) {
        return None;
    }
    let credentials = conn.shared.ground.membership.now()?;
    match &record.behalf {
        Some(behalf) => behalf.onward(&credentials.peer, credentials.trust(), record.began_at),
        None => {
            let users = users(proofs, &live.table);
            let passports = &conn.shared.passports;
            passports.mint(conn.worker, &users, &credentials, record.began_at)
        }
    }
}
