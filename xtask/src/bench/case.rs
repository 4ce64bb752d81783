//! What is asked of every subject.

/// How many routes each subject has; requests go to the one in the middle.
pub(super) const ROUTES: usize = 100;

/// The service that is called in the mesh.
pub(super) const SERVICE: &str = "orders";

/// The length of the small body that the upstream answers with.
pub(super) const SMALL: &str = "hello world\n";
/// The length of the large one.
pub(super) const LARGE: usize = 64 * 1024;

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
}

impl Case {
    /// Those of a proxy at the edge.
    pub(super) const EDGE: [Self; 4] =
        [Self::H1Small, Self::H1Large, Self::H2Small, Self::HttpsSmall];
    /// Those of a pair of proxies.
    pub(super) const MESH: [Self; 4] =
        [Self::MeshSmall, Self::MeshLarge, Self::BytesSmall, Self::BytesLarge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-small",
            Self::H1Large => "h1-64k",
            Self::H2Small => "h2-small",
            Self::HttpsSmall => "https-small",
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
            | Self::MeshSmall
            | Self::MeshLarge
            | Self::BytesSmall
            | Self::BytesLarge => Wire::Http1,
            Self::H2Small => Wire::Http2,
            Self::HttpsSmall => Wire::Https,
        }
    }

    /// Whom a request names as its host; in the mesh the service that it is for.
    pub(super) fn host(self) -> &'static str {
        match self {
            Self::H1Small | Self::H1Large | Self::H2Small | Self::HttpsSmall => "localhost",
            Self::MeshSmall | Self::MeshLarge | Self::BytesSmall | Self::BytesLarge => SERVICE,
        }
    }

    pub(super) fn path(self) -> String {
        let leaf = if self.is_large() { "64k" } else { "small" };
        format!("/r{}/{leaf}", ROUTES / 2)
    }

    pub(super) fn body(self) -> usize {
        if self.is_large() { LARGE } else { SMALL.len() }
    }

    /// Whether a pair carries bytes, and reads no request.
    pub(super) fn is_bytes(self) -> bool {
        matches!(self, Self::BytesSmall | Self::BytesLarge)
    }

    fn is_large(self) -> bool {
        match self {
            Self::H1Large | Self::MeshLarge | Self::BytesLarge => true,
            Self::H1Small
            | Self::H2Small
            | Self::HttpsSmall
            | Self::MeshSmall
            | Self::BytesSmall => false,
        }
    }
}
