//! What browsers do with cookies and pages, without a browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::client::{nothing, request};
use crate::provider::Provider;
use crate::{Connection, Reply};

/// A browser, as far as it keeps cookies and looks at pages.
#[derive(Debug, Clone)]
pub struct Browser {
    host: &'static str,
    /// What it keeps, by name.
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One that keeps nothing yet, and asks for pages of `host`.
    pub fn new(host: &'static str) -> Self {
        Browser { host, cookies: BTreeMap::new() }
    }

    /// Asks a gateway for a page, and keeps what it is told to.
    ///
    /// # Panics
    /// Where there is no answer, or a cookie that scripts could read.
    pub async fn get(&mut self, at: SocketAddr, path: &str) -> Reply {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = ["theme=dark".to_owned(), cookies.join("; ")].join("; ");
        let asked = request("GET", self.host, path)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .header("cookie", cookies);
        let mut connection = Connection::h1(at).await.expect("a connection");
        let reply =
            connection.send(asked.body(nothing()).expect("a request")).await.expect("an answer");
        self.keep(&reply);
        reply
    }

    fn keep(&mut self, reply: &Reply) {
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, attributes) = line.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            assert!(attributes.contains("HttpOnly") && attributes.contains("Path=/;"), "{line}");
            match attributes.contains("Max-Age=0;") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    /// Logs in by one gateway, with the way back through another.
    ///
    /// # Panics
    /// Where that does not go as it should.
    pub async fn log_in(
        &mut self,
        provider: &Provider,
        out: SocketAddr,
        back: SocketAddr,
        user: &str,
    ) {
        let reply = self.get(out, "/orders?of=me").await;
        assert_eq!((reply.status, reply.origin()), (302, ""), "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        let to = provider.log_in(reply.header("location"), user);
        assert_eq!(to.path(), "/oauth2/callback");
        let reply = self.get(back, &format!("{}?{}", to.path(), to.query().expect("a code"))).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/orders?of=me"), "{reply:?}");
    }
}
