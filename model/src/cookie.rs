//! The cookies by which the console, and gateways, know a browser: whoever stands before an application takes them
//! off.

/// The session of a person.
pub const SESSION: &str = "heddle-session";
/// The same behind TLS: browsers keep one of this name for its host and TLS alone.
pub const SESSION_BEHIND_TLS: &str = "__Host-heddle-session";
/// A person who went to a login provider and is to come back.
pub const LOGIN: &str = "heddle-login";
/// The same behind TLS.
pub const LOGIN_BEHIND_TLS: &str = "__Host-heddle-login";

/// All of them.
pub const ALL: [&str; 4] = [SESSION, SESSION_BEHIND_TLS, LOGIN, LOGIN_BEHIND_TLS];

/// What names of cookies begin with that hold the session of somebody who logged in at a gateway.
pub const USER: &str = "heddle-user-";
/// The same of somebody who went to log in and is to come back.
pub const TRIP: &str = "heddle-trip-";
/// What browsers keep for its host and TLS alone begins so (RFC 6265bis, section 4.1.3.2).
pub const HOST: &str = "__Host-";

/// Whether a cookie of this name is one that a gateway gives to who logs in.
pub fn is_of_login(name: &[u8]) -> bool {
    let bare = name.strip_prefix(HOST.as_bytes()).unwrap_or(name);
    bare.starts_with(USER.as_bytes()) || bare.starts_with(TRIP.as_bytes())
}
