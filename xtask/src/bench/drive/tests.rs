//! What the load programs print is read right.

use super::*;

#[test]
fn wrk_is_read_with_its_failures() {
    let text = "Running 10s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  554871 requests in 10.10s, 89.96MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 7
Requests/sec:  54938.1
";
    let closed = wrk_result(text).unwrap();
    assert_eq!((closed.requests, closed.failed), (554_871, 13));
    assert!((closed.seconds - 10.1).abs() < 1e-9);
}

#[test]
fn h2load_is_read_with_its_failures() {
    let text = "
finished in 998.50ms, 40058.00 req/s, 1.57MB/s
requests: 40058 total, 40122 started, 40058 done, 40050 succeeded, 8 failed, 8 errored, 0 timeout
status codes: 40050 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.38MB (2497345) total, 1.13MB (1186115) headers (space savings 93.48%), 469.34KB (480600) data
";
    let closed = h2load_result(text, 12).unwrap();
    assert_eq!((closed.requests, closed.failed), (40_058, 16));
    let short = h2load_result(text, 13).unwrap();
    assert_eq!(short.failed, 8 + 3089, "40,058 times 13 bytes are 40,154 more than came");
    assert!((closed.seconds - 0.9985).abs() < 1e-9);
}

#[test]
fn a_sum_that_is_missing_is_an_error() {
    assert!(wrk_result("unable to connect").is_err());
    assert!(h2load_result("", 12).is_err());
}
