//! Visitors: a few requests a second to the shop's gateway, so that there is something to be seen.

use std::time::Duration;

use hyper::HeaderMap;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::service::Service;
use crate::upstream::Upstream;

/// Between two requests, whether the one before was answered or not.
const PACE: Duration = Duration::from_millis(100);

/// How long a visitor waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// What they look at, again and again.
const LOOKED_AT: [&str; 4] = ["/", "/catalog", "/catalog/odyssey", "/catalog"];

/// Now and then one tries what is not for strangers.
const CURIOUS: usize = 50;

/// Visits until `stop` is given.
pub(crate) async fn visit(args: &Args, stop: CancellationToken) {
    let shop = Upstream::new(Service::Storefront, args.shop.clone(), args.proxy, PATIENCE);
    let mut turns = interval(PACE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        let path = match turn % CURIOUS {
            0 => "/stats",
            turn => LOOKED_AT[turn % LOOKED_AT.len()],
        };
        // That one is refused, or the shop is shut, is what there is to be seen.
        let _ = shop.get(path, &HeaderMap::new()).await;
    }
}
