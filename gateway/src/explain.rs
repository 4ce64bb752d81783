//! `heddle-gateway explain`: what would become of a request, a connection or datagrams, by the code that would
//! decide it.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use http::header::HOST;
use http::{HeaderMap, Method, Uri};
use policy::{Facts, Layer, Scheme};
use table::{Listener, Table};

use crate::args::{Explain, Output};
use crate::load::Config;
use crate::print;

/// A URL as it would be right.
const EXAMPLE: &str = "http://bookshop.localhost:8080/catalog";

/// Prints the story of the request; 0 whatever it says, 1 if it cannot be told.
pub(crate) fn run(args: &Explain) -> Result<ExitCode> {
    let mut config = Config::at(&args.config).with(&args.tls_secrets);
    let loaded = config.load()?;
    if !loaded.faults.is_empty() {
        let faults = print::count(loaded.faults.len(), "fault");
        print::note(format_args!(
            "note: the configuration has {faults}; `heddle-gateway check` lists them"
        ));
    }
    let table = config.table().context("nothing was loaded")?;
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let (layer, scheme) = spoken(&args.url)
        .context("the URL must begin with http://, https://, tls://, tcp:// or udp://")?;
    let (port, host, path) = match layer {
        Layer::Request => {
            ensure!(args.method != Method::CONNECT, "CONNECT would be answered 400");
            let port = args.url.port_u16().unwrap_or(scheme.well_known_port());
            let host = host(args, &headers)?;
            if scheme == Scheme::Https {
                meant_here(table, port, args.url.host().unwrap_or_default(), &host)?;
            }
            let path = model::path::normalise_with(args.url.path(), args.escaped_slashes.into())
                .with_context(|| format!("'{}' would be answered 400", args.url.path()))?;
            (port, host, path)
        }
        Layer::Connection => {
            ensure!(
                args.method == Method::CONNECT,
                "a connection has no method: write CONNECT {}",
                args.url
            );
            let port = args.url.port_u16().context("the URL must name the listener's port")?;
            // Of plain TCP nobody tells a host.
            let named = args.url.host().filter(|_| scheme == Scheme::Https).unwrap_or_default();
            let host = if named.is_empty() { String::new() } else { server_name(named)?.into() };
            (port, host, "".into())
        }
        Layer::Datagrams => {
            ensure!(
                args.method == policy::udp(),
                "datagrams have no method: write {} {}",
                policy::udp(),
                args.url
            );
            let port = args.url.port_u16().context("the URL must name the listener's port")?;
            (port, String::new(), "".into())
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let facts = Facts {
        layer,
        now: i64::try_from(now.as_secs()).context("the clock is far beyond our time")?,
        source: args.from,
        scheme,
        port,
        host: &host,
        method: &args.method,
        path: &path,
        query: args.url.query(),
        headers: &headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let story = table.why(&facts);
    print::result(&match args.output {
        Output::Text => story.to_string(),
        Output::Json => serde_json::to_string_pretty(&story)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The host that is asked for: the header `Host`, as with curl, or else the URL's.
fn host(args: &Explain, headers: &HeaderMap) -> Result<String> {
    let mut lines = headers.get_all(HOST).iter();
    let named = match lines.next() {
        Some(line) => line.to_str().context("'Host' would be answered 400")?,
        None => args.url.authority().context("the URL must name a host")?.as_str(),
    };
    ensure!(lines.next().is_none(), "'Host' stands there more than once: would be answered 400");
    let host = policy::host::normalise(named);
    Ok(host.with_context(|| format!("'{named}' would be answered 400"))?.into_owned())
}

/// Over TLS the server name, which is the URL's host, chooses the listener; a host that belongs
/// to another one is refused before any route is looked at. Where both are one, its story tells.
fn meant_here(table: &Table, port: u16, name: &str, host: &str) -> Result<()> {
    let shown = server_name(name)?;
    let speaks_tls = |listener: &&Arc<Listener>| listener.scheme() == Scheme::Https;
    let meant = table.listener(port, host).filter(speaks_tls);
    let is_other = table.ports().get(&port) == Some(&Scheme::Https)
        && policy::host::normalise(name).is_ok_and(|name| name != host);
    let shown = match table.listener(port, &shown) {
        None if meant.is_some() || is_other => bail!(
            "the handshake for '{name}' would be refused with the alert access_denied: no listener \
             on port {port} has that name"
        ),
        shown => shown,
    };
    let Some((meant, shown)) = meant.zip(shown) else { return Ok(()) };
    ensure!(
        Arc::ptr_eq(shown, meant),
        "the host '{host}' would be answered 421: the handshake for '{name}' leads to listener \
         '{}' of {}, the host belongs to '{}' of {}",
        shown.name,
        shown.whose(),
        meant.name,
        meant.whose()
    );
    Ok(())
}

/// The server name that a handshake with a host asks for; addresses are none (RFC 6066, section 3).
fn server_name(host: &str) -> Result<Cow<'_, str>> {
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    if is_address { Ok("".into()) } else { Ok(policy::host::normalise(host)?) }
}

/// What is asked about, and whether it comes by TLS.
fn spoken(url: &Uri) -> Option<(Layer, Scheme)> {
    match url.scheme_str() {
        Some("http") => Some((Layer::Request, Scheme::Http)),
        Some("https") => Some((Layer::Request, Scheme::Https)),
        Some("tcp") => Some((Layer::Connection, Scheme::Http)),
        Some("tls") => Some((Layer::Connection, Scheme::Https)),
        Some("udp") => Some((Layer::Datagrams, Scheme::Http)),
        Some(_) | None => None,
    }
}

/// Reads the argument METHOD, in whose place a URL is easily written.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes());
    method.map_err(|_| format!("is no method; write METHOD URL, such as GET {EXAMPLE}"))
}

/// Reads the argument URL: whole, with the scheme; of a connection `tls` or `tcp`, of datagrams `udp`.
pub(crate) fn url(text: &str) -> Result<Uri, String> {
    let whole = |text: &str| {
        let url = text.parse::<Uri>().ok()?;
        (spoken(&url).is_some() && url.host().is_some()).then_some(url)
    };
    whole(text).ok_or_else(|| {
        let wanted = format!("wants a whole URL with http:// or https:// (of a connection tls:// or tcp://, of datagrams udp://), such as {EXAMPLE}");
        let with_scheme = format!("http://{text}");
        let meant =
            !text.contains("://") && !text.starts_with('/') && whole(&with_scheme).is_some();
        if meant { format!("{wanted}; did you mean {with_scheme}?") } else { wanted }
    })
}
