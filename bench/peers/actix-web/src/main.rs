//! An actix-web service that answers a constant: `peer-actix-web ADDRESS BODY CONTENT-TYPE`.

use std::env::args;
use std::io;

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let Ok([_, address, body, content_type]) = <[String; 4]>::try_from(args().collect::<Vec<_>>()) else {
        return Err(io::Error::other("usage: peer-actix-web ADDRESS BODY CONTENT-TYPE"));
    };
    let (body, content_type) = (&*body.leak(), &*content_type.leak());
    let light = move || async move { HttpResponse::Ok().content_type(content_type).body(body) };
    HttpServer::new(move || App::new().route("/api/light", web::get().to(light))).bind(address)?.run().await
}
