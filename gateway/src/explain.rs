//! `heddle-gateway explain`: what would become of a request, by the code that would decide it.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use http::HeaderMap;
use policy::{Facts, Scheme};

use crate::args::{Explain, Output};
use crate::load::Config;

/// Prints the story of the request; 0 whatever it says, 1 if it cannot be told.
#[allow(clippy::print_stdout)] // the result goes to standard output
pub(crate) fn run(args: &Explain) -> Result<ExitCode> {
    let mut config = Config::at(&args.config);
    let loaded = config.load()?;
    if !loaded.faults.is_empty() {
        eprintln!(
            "note: the configuration has {} faults; `heddle-gateway check` lists them",
            loaded.faults.len()
        );
    }
    let table = config.table().context("nothing was loaded")?;
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let scheme = scheme(args)?;
    let authority = args.url.authority().context("the URL must name a host")?;
    let host = policy::host::normalise(authority.as_str())
        .with_context(|| format!("'{authority}' would be answered 400"))?;
    let path = policy::path::normalise(args.url.path())
        .with_context(|| format!("'{}' would be answered 400", args.url.path()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let facts = Facts {
        now: i64::try_from(now.as_secs()).context("the clock is far beyond our time")?,
        source: args.from,
        scheme,
        port: args.url.port_u16().unwrap_or(scheme.well_known_port()),
        host: &host,
        method: &args.method,
        path: &path,
        query: args.url.query(),
        headers: &headers,
    };
    let story = table.why(&facts);
    match args.output {
        Output::Text => print!("{story}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&story)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn scheme(args: &Explain) -> Result<Scheme> {
    match args.url.scheme_str() {
        Some("http") => Ok(Scheme::Http),
        Some("https") => Ok(Scheme::Https),
        Some(other) => bail!("'{other}' is not served; say http or https"),
        None => bail!("the URL must be whole, such as http://bookshop.localhost:8080/catalog"),
    }
}
