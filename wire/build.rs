//! Makes messages of the .proto files, and services that speak in our own plain types.

use std::error::Error;

use tonic_build::manual::{Builder, Method, Service};

const FILES: [&str; 3] = ["proto/config.proto", "proto/identity.proto", "proto/seeing.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let messages = tonic_prost_build::configure().build_client(false).build_server(false);
    // What it would show is secret.
    let messages = messages.skip_debug([".heddle.config.v1.GatewaySessions"]);
    // A body is shared by the frames of every node it is sent to.
    let messages = messages.bytes(".heddle.config.v1.Envelope.body");
    messages.compile_fds(files)?;
    let stream = method("stream", "Stream", "NodeFrame", "ControlFrame").client_streaming();
    let config = service("Config", "heddle.config.v1").method(stream.server_streaming().build());
    let identity = service("Identity", "heddle.identity.v1")
        .method(method("join", "Join", "Join", "Certified").build())
        .method(method("renew", "Renew", "Renew", "Certified").build())
        .method(method("rejoin", "Rejoin", "Rejoin", "Certified").build())
        .method(method("speak", "Speak", "Speak", "Spoken").build());
    let tell = method("tell", "Tell", "Told", "Kept").client_streaming().server_streaming();
    let count = method("count", "Count", "Counts", "Kept").client_streaming().server_streaming();
    let end = method("end", "End", "LoggedOut", "Kept").client_streaming().server_streaming();
    let seeing = service("Seeing", "heddle.seeing.v1").method(tell.build()).method(count.build());
    let seeing = seeing.method(end.build());
    let services = [config.build(), identity.build(), seeing.build()];
    Builder::new().build_transport(false).compile(&services);
    Ok(())
}

fn service(name: &str, package: &str) -> tonic_build::manual::ServiceBuilder {
    Service::builder().name(name).package(package)
}

/// A method whose messages are plain types of ours; the codec turns them into protobuf.
fn method(
    name: &str,
    route: &str,
    input: &str,
    output: &str,
) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::{input}"))
        .output_type(format!("crate::{output}"))
        .codec_path("crate::codec::PlainCodec")
}
