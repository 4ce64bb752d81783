//! Serving the console: pages rendered here, the browser's half from the site folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use any_spawner::Executor;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use control::rest::Rest;
use leptos::config::{Env, LeptosOptions};

use thiserror::Error;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

mod door;
mod draw;
mod entry;
mod sent;

pub(crate) use draw::{Here, Refused};

/// The name of the browser's half: `pkg/console.js` and `pkg/console_bg.wasm`. Beside it lies `table`,
/// which an island loads.
const NAME: &str = "console";

/// A folder that holds the browser's half, as `cargo xtask wasm` writes it.
#[derive(Debug, Clone)]
pub struct Site(PathBuf);

/// The folder does not hold what pages ask for.
#[derive(Debug, Error)]
#[error("the site folder lacks {}; `cargo xtask wasm` builds it", missing.display())]
pub struct Incomplete {
    missing: PathBuf,
}

impl Site {
    /// Looks that the browser's half is there, so that no page is served that stays dead.
    pub fn open(dir: &Path) -> Result<Site, Incomplete> {
        for file in ["console.js", "console_bg.wasm", "table.js", "table_bg.wasm", "console.css"] {
            let missing = dir.join("pkg").join(file);
            if !missing.is_file() {
                return Err(Incomplete { missing });
            }
        }
        Ok(Site(dir.to_owned()))
    }
}

/// What pages are drawn from.
#[derive(Debug)]
struct Console {
    rest: Arc<Rest>,
    options: LeptosOptions,
    /// Where nodes reach this server.
    nodes: SocketAddr,
}

impl Console {
    /// Where nodes reach this server, as far as it knows.
    fn nodes(&self) -> String {
        match self.nodes.ip().is_unspecified() {
            true => format!("HOST:{}", self.nodes.port()),
            false => self.nodes.to_string(),
        }
    }
}

/// Every route of the console, whose pages ask through the door of `rest`; `nodes` is where nodes reach
/// this server.
pub fn router(site: &Site, rest: &Arc<Rest>, nodes: SocketAddr) -> Router {
    // Where there is one already, it is this one.
    let _is_there = Executor::init_tokio();
    let options = LeptosOptions::builder()
        .output_name(NAME)
        .site_root(site.0.to_string_lossy())
        .env(Env::PROD)
        .build();
    let console = Arc::new(Console { rest: Arc::clone(rest), options, nodes });
    let files = Router::new()
        .nest_service("/pkg", files(site))
        // Names of files carry no digest: ask again each time, and be told that nothing changed,
        // or an upgrade would hydrate new pages with old code.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ));
    files.merge(door::router(console))
}

/// What stands in the place of the console where there is no site folder.
pub fn without_console() -> Router {
    let words = "there is no console here: the server runs without --site; REST is at /api/v1\n";
    Router::new().fallback(move || async move { (StatusCode::NOT_FOUND, words) })
}

/// The browser's half, compressed when it was built.
fn files(site: &Site) -> ServeDir {
    ServeDir::new(site.0.join("pkg"))
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip()
}

#[cfg(test)]
mod tests;
