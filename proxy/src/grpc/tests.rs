//! Which requests are calls, and what is said of how they end.

use http::Request;

use super::*;

fn head(version: Version, content_type: &str) -> Parts {
    let builder = Request::builder().version(version).header(CONTENT_TYPE, content_type);
    builder.body(()).unwrap().into_parts().0
}

#[test]
fn a_call_is_http2_with_grpcs_own_content_type() {
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
        assert_eq!(Call::of(&head(Version::HTTP_2, kind)), Some(Call::default()), "{kind}");
        assert_eq!(Call::of(&head(Version::HTTP_11, kind)), None, "{kind}");
    }
    for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json", ""] {
        assert_eq!(Call::of(&head(Version::HTTP_2, kind)), None, "{kind}");
    }
}

#[test]
fn a_timeout_is_at_most_eight_digits_with_a_unit() {
    let read = |text: &'static str| {
        timeout(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_static(text))]))
    };
    let cases = [
        ("2H", Some(Duration::from_secs(7200))),
        ("1M", Some(Duration::from_secs(60))),
        ("10S", Some(Duration::from_secs(10))),
        ("99999999m", Some(Duration::from_millis(99_999_999))),
        ("5u", Some(Duration::from_micros(5))),
        ("0n", Some(Duration::ZERO)),
    ];
    for (text, wanted) in cases {
        assert_eq!(read(text), wanted, "{text}");
    }
    for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "\u{7f}S"] {
        if HeaderValue::from_str(text).is_ok() {
            let headers = HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(timeout(&headers), None, "{text}");
        }
    }
    assert_eq!(timeout(&HeaderMap::new()), None);
}

#[test]
fn a_code_that_does_not_exist_is_unknown_and_none_is_none() {
    let read = |text: &'static str| {
        Code::of(&HeaderMap::from_iter([(STATUS, HeaderValue::from_static(text))]))
    };
    assert_eq!(read("0").map(Code::as_str), Some("OK"));
    assert_eq!(read("14").map(Code::as_str), Some("UNAVAILABLE"));
    for odd in ["17", "255", "256", "-1", "x", ""] {
        assert_eq!(read(odd), Some(Code::UNKNOWN), "{odd}");
    }
    assert_eq!(Code::of(&HeaderMap::new()), None);
    let all: std::collections::BTreeSet<_> = Code::all().map(Code::as_str).collect();
    assert_eq!(all.len(), CODES);
}

#[test]
fn a_call_fails_by_the_status_that_says_the_same_but_for_its_callers_deadline() {
    let failed = |codes: &[u16]| -> Vec<_> {
        let rule = Ejection { codes: codes.into(), ..Ejection::USUAL };
        let is_failed = |code: &Code| code.says(&rule) == Said::Failed;
        Code::all().filter(is_failed).map(Code::as_str).collect()
    };
    assert_eq!(failed(&[]), ["UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]);
    assert_eq!(failed(&[501, 504]), ["UNIMPLEMENTED"]);
    assert_eq!(failed(&[429]), Vec::<&str>::new());
    assert_eq!(Code::RESOURCE_EXHAUSTED.says(&Ejection::USUAL), Said::Burdened);
}

#[test]
fn each_refusal_has_a_code_that_agrees_with_its_status() {
    for &reason in Reason::ALL {
        let mut headers = HeaderMap::new();
        let code = answer(&mut headers, reason);
        assert_eq!(Code::of(&headers), Some(code));
        assert_eq!(headers[MESSAGE], reason.as_str());
        // What the caller did wrong is never told as the server's fault, nor the other way round.
        let status = reason.status().as_u16();
        match reason {
            Reason::Ok => assert_eq!(code, Code::OK),
            // gRPC has its own word for what it does not find, and for what it cannot read.
            Reason::NoListener | Reason::NoRoute | Reason::ApiUnpublished | Reason::ApiRetired => {
                assert_eq!(code, Code::UNIMPLEMENTED);
            }
            Reason::BadRequest | Reason::PathInvalid | Reason::HostInvalid => {
                assert_eq!(code, Code::INTERNAL);
            }
            Reason::Redirected
            | Reason::LoggedIn
            | Reason::LoggedOut
            | Reason::Preflight
            | Reason::Misdirected
            | Reason::ClientTimeout => {}
            _ => assert_eq!(code.as_http() >= 500, status >= 500, "{reason}: {code}"),
        }
    }
}
