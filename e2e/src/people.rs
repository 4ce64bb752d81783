//! People beside the admin, by the command line.

use std::process::Command;

use serde_json::json;

use crate::{Fleet, program};

/// A new user, by a token of their own.
///
/// # Panics
/// Where there is such a user, or they are not let in.
pub async fn token_of(fleet: &Fleet, user: &str) -> String {
    let password = "another-password-of-a-test";
    let made = fleet.post("/users", json!({ "name": user, "password": password })).await;
    assert_eq!(made.expect("the server answers").status, 201);
    let home = fleet.path(user);
    let mut login = heddle(fleet);
    login.args(["login", "--user", user, "--password-stdin"]).env("XDG_CONFIG_HOME", &home);
    let ended = piped(login, password);
    assert!(ended.0, "{}", ended.1);
    let file = std::fs::read_to_string(home.join("heddle/config.json")).expect("a token was kept");
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    file["token"].as_str().expect("a token").to_owned()
}

/// The command line, at the fleet's server, as nobody yet.
pub fn heddle(fleet: &Fleet) -> Command {
    let mut command = Command::new(program::heddle());
    command.env("HEDDLE_SERVER", format!("http://{}", fleet.rest)).env_remove("HEDDLE_TOKEN");
    command
}

fn piped(mut command: Command, input: &str) -> (bool, String) {
    use std::io::Write as _;
    use std::process::Stdio;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("heddle starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("heddle ends");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
