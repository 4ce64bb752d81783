//! What nodes count of requests: how many, how they ended and how long they took, by who asked for
//! what.

use model::Name;
use model::identity::Peer;

use crate::frame::Malformed;
use crate::proto::seeing as proto;
use crate::{Key, Side, Sketch};

/// What was counted in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Drawn when the process starts.
    pub start: u64,
    /// Counts up from there, over all streams: what comes again under a number was counted before.
    pub number: u64,
    /// How long before it was sent the stretch ended, in microseconds.
    pub ago: u64,
    /// How long the stretch was, in microseconds.
    pub lasted: u64,
    /// At most [`SERIES`](crate::SERIES).
    pub series: Vec<Series>,
}

/// The requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// On which side of an application.
    pub side: Side,
    /// What they led to; none where that was nothing.
    pub route: Option<Key>,
    /// The rule of it, in words.
    pub rule: Option<String>,
    /// The Service port that they were sent to, such as `shop/orders:80`; inbound, the Workload's.
    pub backend: Option<String>,
    /// Who asked, as far as that is known.
    pub caller: Option<Caller>,
    /// How many ended in which way, by [`Outcome`].
    pub outcomes: [u64; OUTCOMES],
    /// How long those took that were sent to a backend.
    pub latency: Sketch,
}

/// Who asks, in a form of which there are few: never one for each person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A workload or a gateway.
    Peer(Peer),
    /// A Consumer.
    Consumer {
        /// Where it lies.
        namespace: Name,
        /// Its name there.
        name: Name,
    },
    /// By an API key of this name.
    ApiKey(String),
    /// By a token of this issuer.
    Issuer(String),
    /// All for whom there was no room.
    Others,
}

/// How a request ended, in classes that call for different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// A policy or a border denied it.
    Denied,
    /// The caller asked wrongly: a status of 400 to 499 by whomever.
    ClientError,
    /// The backend answered with a status above 499.
    BackendError,
    /// No whole answer came from a backend.
    Failed,
    /// The caller went away.
    Gone,
}

/// How many outcomes there are.
pub const OUTCOMES: usize = 6;

impl From<Counts> for proto::Counts {
    fn from(counts: Counts) -> Self {
        let Counts { start, number, ago, lasted, series } = counts;
        let series = series.into_iter().map(Into::into).collect();
        proto::Counts { start, number, ago, lasted, series }
    }
}

impl TryFrom<proto::Counts> for Counts {
    type Error = Malformed;

    fn try_from(counts: proto::Counts) -> Result<Self, Malformed> {
        let proto::Counts { start, number, ago, lasted, series } = counts;
        if series.len() > crate::SERIES {
            return Err(Malformed::Many(series.len()));
        }
        let series = series.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Counts { start, number, ago, lasted, series })
    }
}

impl From<Series> for proto::Series {
    fn from(series: Series) -> Self {
        let (places, counts) = series.latency.buckets().iter().copied().unzip::<_, _, Vec<_>, _>();
        let route = series.route;
        proto::Series {
            side: match series.side {
                Side::Edge => 1,
                Side::Outbound => 2,
                Side::Inbound => 3,
            },
            route: route.map(|Key { kind, namespace, name }| proto::Object {
                kind,
                namespace,
                name,
            }),
            rule: series.rule.unwrap_or_default(),
            backend: series.backend.unwrap_or_default(),
            caller: series.caller.map(Into::into),
            outcomes: series.outcomes.to_vec(),
            places: places.into_iter().map(u32::from).collect(),
            counts,
        }
    }
}

impl TryFrom<proto::Series> for Series {
    type Error = Malformed;

    fn try_from(series: proto::Series) -> Result<Self, Malformed> {
        let words = [&series.rule, &series.backend];
        if let Some(long) = words.into_iter().find(|word| word.len() > 3 * crate::WORD) {
            return Err(Malformed::Long(long.len()));
        }
        let some = |word: String| Some(word).filter(|word| !word.is_empty());
        Ok(Series {
            side: match series.side {
                1 => Side::Edge,
                2 => Side::Outbound,
                3 => Side::Inbound,
                _ => return Err(Malformed::Counts("a side that this version does not know")),
            },
            route: series.route.map(route).transpose()?,
            rule: some(series.rule),
            backend: some(series.backend),
            caller: series.caller.map(TryInto::try_into).transpose()?,
            outcomes: series.outcomes.try_into().map_err(|_| Malformed::Counts("outcomes"))?,
            latency: latency(&series.places, &series.counts)?,
        })
    }
}

fn route(proto::Object { kind, namespace, name }: proto::Object) -> Result<Key, Malformed> {
    let longest = kind.len().max(namespace.len()).max(name.len());
    if longest > crate::WORD {
        return Err(Malformed::Long(longest));
    }
    Ok(Key { kind, namespace, name })
}

/// Buckets that rise and are there, each with a count.
fn latency(places: &[u32], counts: &[u32]) -> Result<Sketch, Malformed> {
    let is_there = places.last().is_none_or(|last| (*last as usize) < Sketch::BUCKETS);
    if places.len() != counts.len() || !places.is_sorted_by(|a, b| a < b) || !is_there {
        return Err(Malformed::Counts("buckets"));
    }
    let mut sketch = Sketch::default();
    places.iter().zip(counts).for_each(|(place, count)| sketch.add(*place as usize, *count));
    Ok(sketch)
}

impl From<Caller> for proto::Caller {
    fn from(caller: Caller) -> Self {
        use proto::caller::Caller as Form;
        let form = match caller {
            Caller::Peer(Peer::Workload { cluster, namespace, service_account }) => {
                Form::Workload(proto::Workload {
                    cluster: cluster.to_string(),
                    namespace: namespace.to_string(),
                    service_account: service_account.to_string(),
                })
            }
            Caller::Peer(Peer::Gateway { cluster, name }) => Form::Gateway(proto::Gateway {
                cluster: cluster.to_string(),
                name: name.to_string(),
            }),
            Caller::Consumer { namespace, name } => Form::Consumer(proto::Consumer {
                namespace: namespace.to_string(),
                name: name.to_string(),
            }),
            Caller::ApiKey(name) => Form::ApiKey(name),
            Caller::Issuer(issuer) => Form::Issuer(issuer),
            Caller::Others => Form::Others(proto::Others {}),
        };
        proto::Caller { caller: Some(form) }
    }
}

impl TryFrom<proto::Caller> for Caller {
    type Error = Malformed;

    fn try_from(caller: proto::Caller) -> Result<Self, Malformed> {
        use proto::caller::Caller as Form;
        let name = |word: &str| Name::parse(word).map_err(|_| Malformed::Counts("a caller's name"));
        let short = |word: String| match word.len() {
            long if long > 3 * crate::WORD => Err(Malformed::Long(long)),
            _ => Ok(word),
        };
        Ok(match caller.caller.ok_or(Malformed::Missing("caller"))? {
            Form::Workload(workload) => Caller::Peer(Peer::Workload {
                cluster: name(&workload.cluster)?,
                namespace: name(&workload.namespace)?,
                service_account: name(&workload.service_account)?,
            }),
            Form::Gateway(gateway) => Caller::Peer(Peer::Gateway {
                cluster: name(&gateway.cluster)?,
                name: name(&gateway.name)?,
            }),
            Form::Consumer(consumer) => Caller::Consumer {
                namespace: name(&consumer.namespace)?,
                name: name(&consumer.name)?,
            },
            Form::ApiKey(name) => Caller::ApiKey(short(name)?),
            Form::Issuer(issuer) => Caller::Issuer(short(issuer)?),
            Form::Others(proto::Others {}) => Caller::Others,
        })
    }
}
