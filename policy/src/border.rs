//! What borders make of a request beside its policies: where its Api is in its life, and what a
//! workspace makes of what no policy speaks of.
//!
//! Both are known before the first request, so a chain carries a border only where there is one.

use std::sync::Arc;

use http::header::LINK;
use http::{HeaderName, HeaderValue};
use model::Key;
use model::api::{Api, Lifecycle};

use crate::chain::Answer;
use crate::headers::HeaderChange;
use crate::reason::Reason;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// What stands around one rule of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Border {
    /// Where its Api is in its life.
    pub stage: Stage,
    /// Why nothing passes and what would open it, in words; `None` where policies decide.
    pub denied: Option<Arc<str>>,
}

/// Where an Api is in its life, as far as requests feel it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stage {
    /// It answers; also where a route belongs to no Api.
    #[default]
    Published,
    /// It answers nobody; why, in words.
    Unpublished(Arc<str>),
    /// It answers, and says in every answer that it will be gone.
    Deprecated(Notice),
    /// It answers that it is gone.
    Retired {
        /// Why, in words.
        why: Arc<str>,
        /// `Link` to what came after it.
        successor: Option<HeaderValue>,
    },
}

/// The headers by which a deprecated Api says so (RFC 9745, RFC 8594).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice(pub(crate) HeaderChange);

impl Border {
    /// Whether it changes nothing.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Published && self.denied.is_none()
    }

    /// What is answered instead of everything behind the rule, if its Api's life says so.
    pub(crate) fn lifeless(&self) -> Option<Answer> {
        let (reason, why, successor) = match &self.stage {
            Stage::Published | Stage::Deprecated(_) => return None,
            Stage::Unpublished(why) => (Reason::ApiUnpublished, why, None),
            Stage::Retired { why, successor } => (Reason::ApiRetired, why, successor.as_ref()),
        };
        let headers = successor.map(|link| (LINK, link.clone())).into_iter().collect();
        Some(Answer { headers, detail: Some((&**why).into()), ..Answer::new(reason) })
    }

    /// What is answered where no policy speaks.
    pub(crate) fn denial(&self) -> Option<Answer> {
        let why = self.denied.as_ref()?;
        Some(Answer { detail: Some((&**why).into()), ..Answer::new(Reason::DefaultDenied) })
    }

    /// What every answer says.
    pub(crate) fn notice(&self) -> Option<&HeaderChange> {
        match &self.stage {
            Stage::Deprecated(Notice(change)) => Some(change),
            Stage::Published | Stage::Unpublished(_) | Stage::Retired { .. } => None,
        }
    }
}

impl Stage {
    /// The stage of an Api, called `key`.
    pub fn of(key: &Key, api: &Api) -> Self {
        match api.spec.lifecycle {
            Lifecycle::Draft => Stage::Unpublished(
                format!("{key} is a draft; once its lifecycle says Published, it answers").into(),
            ),
            Lifecycle::Published => Stage::Published,
            Lifecycle::Deprecated => Stage::Deprecated(Notice(notice(api))),
            Lifecycle::Retired => {
                let why = match &api.spec.successor {
                    Some(successor) => format!("{key} is retired; after it came {successor}"),
                    None => format!("{key} is retired"),
                };
                Stage::Retired { why: why.into(), successor: link(api) }
            }
        }
    }
}

/// What is written goes in the place of what a backend says; a `Link` stands beside others.
fn notice(api: &Api) -> HeaderChange {
    // The header needs a date; where none is written, it was long ago.
    let since = api.spec.deprecated.map_or(0, |at| at.unix_timestamp());
    let since = HeaderValue::try_from(format!("@{since}")).ok();
    let sunset =
        api.spec.sunset.and_then(|at| HeaderValue::try_from(date(at.unix_timestamp())?).ok());
    let set = [(DEPRECATION, since), (SUNSET, sunset)];
    HeaderChange {
        set: set.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        add: link(api).map(|value| (LINK, value)).into_iter().collect(),
        remove: Vec::new(),
    }
}

fn link(api: &Api) -> Option<HeaderValue> {
    let successor = api.spec.successor.as_ref()?;
    HeaderValue::try_from(format!("<{successor}>; rel=\"successor-version\"")).ok()
}

/// A time as HTTP writes it (RFC 9110, section 5.6.7); `None` outside the years of four digits.
fn date(unix: i64) -> Option<String> {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = time::OffsetDateTime::from_unix_timestamp(unix).ok()?;
    let year = u16::try_from(at.year()).ok()?;
    let day = DAYS.get(usize::from(at.weekday().number_days_from_sunday()))?;
    let month = MONTHS.get(usize::from(u8::from(at.month())) - 1)?;
    let (hour, minute, second) = at.to_hms();
    Some(format!("{day}, {:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", at.day()))
}

#[cfg(test)]
mod tests;
