//! What is asked of every subject.

/// How many routes a host has; requests go to the one in the middle of the host in the middle.
const A_HOST: usize = 100;

/// The service that is called in the mesh.
pub(super) const SERVICE: &str = "orders";

/// The length of the small body that the upstream answers with.
pub(super) const SMALL: &str = "hello world\n";
/// The length of the large one.
pub(super) const LARGE: usize = 64 * 1024;
/// How many messages a stream is answered with, and the bytes of each; as `callee` has it.
const STREAMED: (usize, usize) = (32, 1024);
/// What stands before each message (gRPC over HTTP/2, Length-Prefixed-Message).
const PREFIX: usize = 5;

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    #[value(name = "h1-small")]
    H1Small,
    #[value(name = "h1-64k")]
    H1Large,
    #[value(name = "h2-small")]
    H2Small,
    #[value(name = "https-small")]
    HttpsSmall,
    #[value(name = "grpc-unary")]
    GrpcUnary,
    #[value(name = "grpc-stream")]
    GrpcStream,
    #[value(name = "h1-small-5000")]
    H1Small5000,
    #[value(name = "h1-small-40000")]
    H1Small40000,
    #[value(name = "mesh-small")]
    MeshSmall,
    #[value(name = "mesh-64k")]
    MeshLarge,
    #[value(name = "l4-small")]
    BytesSmall,
    #[value(name = "l4-64k")]
    BytesLarge,
}

/// What is spoken on the subject's side that faces callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Http1,
    Http2,
    Https,
    /// Calls of gRPC, over HTTP/2.
    Grpc,
}

/// One of the routes that every subject has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The host that it is for; every host where there is none.
    pub(super) host: Option<String>,
    /// What its paths begin with, up to a `/`; of calls it names their service.
    pub(super) prefix: String,
}

/// What the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Small,
    Large,
    /// One of gRPC, or a stream of them.
    Message,
    Messages,
}

impl Case {
    /// Those of a proxy at the edge.
    pub(super) const EDGE: [Self; 8] = [
        Self::H1Small,
        Self::H1Large,
        Self::H2Small,
        Self::HttpsSmall,
        Self::GrpcUnary,
        Self::GrpcStream,
        Self::H1Small5000,
        Self::H1Small40000,
    ];
    /// Those of a pair of proxies.
    pub(super) const MESH: [Self; 4] =
        [Self::MeshSmall, Self::MeshLarge, Self::BytesSmall, Self::BytesLarge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-small",
            Self::H1Large => "h1-64k",
            Self::H2Small => "h2-small",
            Self::HttpsSmall => "https-small",
            Self::GrpcUnary => "grpc-unary",
            Self::GrpcStream => "grpc-stream",
            Self::H1Small5000 => "h1-small-5000",
            Self::H1Small40000 => "h1-small-40000",
            Self::MeshSmall => "mesh-small",
            Self::MeshLarge => "mesh-64k",
            Self::BytesSmall => "l4-small",
            Self::BytesLarge => "l4-64k",
        }
    }

    pub(super) fn wire(self) -> Wire {
        match self {
            Self::H1Small
            | Self::H1Large
            | Self::H1Small5000
            | Self::H1Small40000
            | Self::MeshSmall
            | Self::MeshLarge
            | Self::BytesSmall
            | Self::BytesLarge => Wire::Http1,
            Self::H2Small => Wire::Http2,
            Self::HttpsSmall => Wire::Https,
            Self::GrpcUnary | Self::GrpcStream => Wire::Grpc,
        }
    }

    /// The list that is written in the words of each subject at the edge.
    pub(super) fn routes(self) -> Vec<Route> {
        (0..self.number()).map(|number| self.route(number)).collect()
    }

    fn number(self) -> usize {
        match self {
            Self::H1Small5000 => 5_000,
            Self::H1Small40000 => 40_000,
            Self::H1Small
            | Self::H1Large
            | Self::H2Small
            | Self::HttpsSmall
            | Self::GrpcUnary
            | Self::GrpcStream
            | Self::MeshSmall
            | Self::MeshLarge
            | Self::BytesSmall
            | Self::BytesLarge => A_HOST,
        }
    }

    fn route(self, number: usize) -> Route {
        let (host, place) = (number / A_HOST, number % A_HOST);
        let is_spread = self.number() > A_HOST;
        let prefix = match self.wire() {
            Wire::Grpc => format!("/bench.R{place}"),
            Wire::Http1 | Wire::Http2 | Wire::Https => format!("/r{place}"),
        };
        Route { host: is_spread.then(|| format!("h{host}.bench.example")), prefix }
    }

    /// The one that requests go to.
    fn called(self) -> Route {
        self.route(self.number() / A_HOST / 2 * A_HOST + A_HOST / 2)
    }

    /// Whom a request names as its host; in the mesh the service that it is for.
    pub(super) fn host(self) -> String {
        match self {
            Self::MeshSmall | Self::MeshLarge | Self::BytesSmall | Self::BytesLarge => {
                SERVICE.to_owned()
            }
            Self::H1Small
            | Self::H1Large
            | Self::H2Small
            | Self::HttpsSmall
            | Self::GrpcUnary
            | Self::GrpcStream
            | Self::H1Small5000
            | Self::H1Small40000 => self.called().host.unwrap_or_else(|| "localhost".to_owned()),
        }
    }

    pub(super) fn path(self) -> String {
        let leaf = match self.answer() {
            Answer::Small => "small",
            Answer::Large => "64k",
            Answer::Message => "Unary",
            Answer::Messages => "Stream",
        };
        format!("{}/{leaf}", self.called().prefix)
    }

    /// The bytes of an answer's body.
    pub(super) fn body(self) -> usize {
        match self.answer() {
            Answer::Small => SMALL.len(),
            Answer::Large => LARGE,
            Answer::Message => PREFIX + SMALL.len(),
            Answer::Messages => STREAMED.0 * (PREFIX + STREAMED.1),
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::GrpcUnary => Answer::Message,
            Self::GrpcStream => Answer::Messages,
            Self::H1Large | Self::MeshLarge | Self::BytesLarge => Answer::Large,
            Self::H1Small
            | Self::H2Small
            | Self::HttpsSmall
            | Self::H1Small5000
            | Self::H1Small40000
            | Self::MeshSmall
            | Self::BytesSmall => Answer::Small,
        }
    }

    /// Whether a pair carries bytes, and reads no request.
    pub(super) fn is_bytes(self) -> bool {
        matches!(self, Self::BytesSmall | Self::BytesLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_a_route_of_the_list() {
        for case in Case::EDGE {
            let (routes, called) = (case.routes(), case.called());
            assert_eq!(routes.iter().filter(|route| **route == called).count(), 1, "{case:?}");
            assert_eq!(called.prefix, case.path().rsplit_once('/').unwrap().0);
            assert_eq!(called.host.is_some(), routes.len() > A_HOST);
        }
        assert_eq!(Case::H1Small5000.host(), "h25.bench.example");
        assert_eq!(Case::H1Small40000.routes().len(), 40_000);
    }
}
