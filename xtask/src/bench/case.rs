//! What is asked of every subject.

/// How many routes each subject has; requests go to the one in the middle.
pub(super) const ROUTES: usize = 100;

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
}

/// What is spoken on the subject's side that faces callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Http1,
    Http2,
    Https,
}

impl Case {
    pub(super) const ALL: [Self; 4] =
        [Self::H1Small, Self::H1Large, Self::H2Small, Self::HttpsSmall];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-small",
            Self::H1Large => "h1-64k",
            Self::H2Small => "h2-small",
            Self::HttpsSmall => "https-small",
        }
    }

    pub(super) fn wire(self) -> Wire {
        match self {
            Self::H1Small | Self::H1Large => Wire::Http1,
            Self::H2Small => Wire::Http2,
            Self::HttpsSmall => Wire::Https,
        }
    }

    pub(super) fn path(self) -> String {
        let leaf = match self {
            Self::H1Large => "64k",
            Self::H1Small | Self::H2Small | Self::HttpsSmall => "small",
        };
        format!("/r{}/{leaf}", ROUTES / 2)
    }

    pub(super) fn body(self) -> usize {
        match self {
            Self::H1Large => LARGE,
            Self::H1Small | Self::H2Small | Self::HttpsSmall => SMALL.len(),
        }
    }
}
