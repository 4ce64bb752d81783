//! Serving the console: pages rendered here, the browser's half from the site folder.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use leptos::config::{Env, LeptosOptions};
use leptos_axum::{LeptosRoutes as _, generate_route_list, render_app_to_stream};
use thiserror::Error;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::shell::shell;

/// The name of the browser's half: `pkg/console.js` and `pkg/console_bg.wasm`.
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
        for file in ["console.js", "console_bg.wasm", "console.css"] {
            let missing = dir.join("pkg").join(file);
            if !missing.is_file() {
                return Err(Incomplete { missing });
            }
        }
        Ok(Site(dir.to_owned()))
    }
}

/// Every route of the console.
pub fn router(site: &Site) -> Router {
    let options = LeptosOptions::builder()
        .output_name(NAME)
        .site_root(site.0.to_string_lossy())
        .env(Env::PROD)
        .build();
    let page = {
        let options = options.clone();
        move || shell(options.clone())
    };
    Router::new()
        .leptos_routes(&options, generate_route_list(App), page.clone())
        .fallback(render_app_to_stream(page))
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
        ))
        .with_state(options)
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
