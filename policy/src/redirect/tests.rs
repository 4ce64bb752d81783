//! Where a redirect points: scheme, host, port and path.

use model::route::{PathModifier, PathModifierType};

use super::*;
use crate::fixtures::Request;

fn redirect(from: RequestRedirect) -> Redirect {
    Redirect::compile(&RequestRedirect { status_code: 302, ..from }).unwrap()
}

#[test]
fn the_port_is_the_written_one_or_the_schemes_or_the_listeners() {
    use RedirectScheme::{Http, Https};
    use Scheme as Of;
    for (listener, scheme, port, wanted) in [
        ((Of::Http, 80), None, None, "http://shop.example/a"),
        ((Of::Http, 8080), None, None, "http://shop.example:8080/a"),
        ((Of::Https, 443), None, None, "https://shop.example/a"),
        ((Of::Https, 8443), None, None, "https://shop.example:8443/a"),
        ((Of::Https, 80), None, None, "https://shop.example:80/a"),
        ((Of::Http, 8080), Some(Http), None, "http://shop.example/a"),
        ((Of::Http, 8080), Some(Https), None, "https://shop.example/a"),
        ((Of::Https, 8443), Some(Http), None, "http://shop.example/a"),
        ((Of::Http, 8080), None, Some(80), "http://shop.example/a"),
        ((Of::Http, 80), None, Some(8080), "http://shop.example:8080/a"),
        ((Of::Http, 80), Some(Https), Some(443), "https://shop.example/a"),
        ((Of::Http, 80), Some(Https), Some(8443), "https://shop.example:8443/a"),
        ((Of::Http, 80), Some(Https), Some(80), "https://shop.example:80/a"),
        ((Of::Http, 80), Some(Http), Some(443), "http://shop.example:443/a"),
    ] {
        let redirect = redirect(RequestRedirect { scheme, port, ..RequestRedirect::default() });
        let request = Request { scheme: listener.0, port: listener.1, ..Request::get("/a") };
        let target = redirect.target(&request.facts(), None);
        assert_eq!(target, wanted, "{listener:?} {scheme:?} {port:?}");
    }
}

#[test]
fn host_and_path_are_replaced_and_the_query_stays() {
    let path = PathModifier {
        kind: PathModifierType::ReplacePrefixMatch,
        replace_full_path: None,
        replace_prefix_match: Some("/new".to_owned()),
    };
    let redirect = redirect(RequestRedirect {
        hostname: Some(Hostname::parse("other.example").unwrap()),
        scheme: Some(RedirectScheme::Https),
        path: Some(path),
        ..RequestRedirect::default()
    });
    let request = Request { query: Some("q=%20".to_owned()), ..Request::get("/old/x") };
    let location = redirect.location(&request.facts(), Some("/old")).unwrap();
    assert_eq!(location, "https://other.example/new/x?q=%20");
}

#[test]
fn without_any_host_the_location_is_a_path() {
    let redirect = redirect(RequestRedirect::default());
    let request = Request { host: String::new(), ..Request::get("/a") };
    assert_eq!(redirect.target(&request.facts(), None), "/a");
}

#[test]
fn a_status_that_does_not_redirect_or_a_wildcard_does_not_compile() {
    let status = RequestRedirect { status_code: 200, ..RequestRedirect::default() };
    assert_eq!(Redirect::compile(&status), Err(ChainError::Status(200)));
    let hostname = Some(Hostname::parse("*.example").unwrap());
    let wildcard = RequestRedirect { status_code: 301, hostname, ..RequestRedirect::default() };
    assert!(matches!(Redirect::compile(&wildcard), Err(ChainError::Host(_))));
}
