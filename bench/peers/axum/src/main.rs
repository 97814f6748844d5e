//! An axum service that answers a constant: `peer-axum ADDRESS BODY CONTENT-TYPE`.

use std::env::args;
use std::error::Error;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok([_, address, body, content_type]) = <[String; 4]>::try_from(args().collect::<Vec<_>>()) else {
        return Err("usage: peer-axum ADDRESS BODY CONTENT-TYPE".into());
    };
    let (body, content_type) = (&*body.leak(), &*content_type.leak());
    let light = move || async move { ([(CONTENT_TYPE, content_type)], body) };
    let app = Router::new().route("/api/light", get(light));
    axum::serve(TcpListener::bind(address).await?, app).await?;
    Ok(())
}
