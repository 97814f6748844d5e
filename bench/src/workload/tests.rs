use super::*;

const MIX: &str = r#"
[[workload]]
name = "first"
summary = ""
path = "/first"

[[workload]]
name = "mix"
summary = ""

[[workload.request]]
weight = 9
path = "/orders"

[[workload.request]]
method = "POST"
path = "/orders"
headers = { content-type = "application/json" }
payload_file = "order.json"
status = 201
body = "any"
"#;

/// Reads a file of its own; the error without the file's path.
fn read_text(name: &str, text: &str) -> Result<Vec<Workload>, String> {
    let dir = std::env::temp_dir().join(format!("ounce-workload-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("workloads.toml"), text).unwrap();
    fs::write(dir.join("order.json"), "{\"book\": 7}").unwrap();
    let read = read(&dir.join("workloads.toml"));
    fs::remove_dir_all(&dir).unwrap();
    let shown = format!("{}/", dir.display());
    read.map_err(|error| error.to_string().replace(&shown, ""))
}

#[test]
fn one_request_on_the_spot_is_a_list_of_one() {
    let spot = "[[workload]]\nname = \"a\"\nsummary = \"\"\npath = \"/a\"\nmethod = \"PUT\"\npayload = \"x\"\nbody = \"any\"";
    let list = "[[workload]]\nname = \"a\"\nsummary = \"\"\n[[workload.request]]\npath = \"/a\"\nmethod = \"PUT\"\npayload = \"x\"\nbody = \"any\"";
    let [spot, list] =
        [("spot", spot), ("list", list)].map(|(name, text)| read_text(name, text).unwrap().remove(0));
    assert_eq!(spot.requests, list.requests);
    let request = &spot.requests[0];
    assert_eq!((spot.connections, request.status, request.body), (64, 200, Body::Any));
    assert_eq!((request.payload(), spot.asked().as_str()), (Some(&b"x"[..]), "PUT /a"));
    assert_eq!(Request::get("/").payload(), None);
}

#[test]
fn a_mix_has_weights_headers_and_payloads() {
    let mix = read_text("mix", MIX).unwrap().remove(1);
    let [look, order] = &mix.requests[..] else { panic!("{:?}", mix.requests) };
    assert_eq!((look.weight, look.method.as_str(), look.status, look.payload()), (9, "GET", 200, None));
    assert_eq!((order.weight, order.status, order.body), (1, 201, Body::Any));
    assert_eq!(order.payload(), Some(&b"{\"book\": 7}"[..]));
    assert_eq!(order.headers["content-type"], "application/json");
    assert_eq!(mix.asked(), "9 × GET /orders, 1 × POST /orders");
}

#[test]
fn records_keep_what_was_asked_and_old_ones_are_read() {
    let mix = read_text("records", MIX).unwrap().remove(1);
    let json = serde_json::to_value(&mix).unwrap();
    assert_eq!(json["request"][1]["payload_file"], "order.json");
    let again: Workload = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), json);
    let old = r#"{"name": "a", "summary": "", "method": "GET", "path": "/a", "connections": 64, "status": 200, "body": "same"}"#;
    let old: Workload = serde_json::from_str(old).unwrap();
    assert_eq!(old.requests, [Request::get("/a")]);
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (right, wrong, told) in [
        ("path = \"/first\"", "path = \"first\"", "workloads.toml:5: the path must start with /"),
        (
            "weight = 9\npath = \"/orders\"",
            "weight = 0\npath = \"/orders\"",
            "workloads.toml:12: a weight must",
        ),
        ("weight = 9\npath = \"/orders\"", "path = \"/or ders\"", "workloads.toml:12: the path must start"),
        ("weight = 9\n", "weight = 9\nwait = 1\n", "workloads.toml:13: unknown field `wait`"),
        (
            "weight = 9\n",
            "weight = 10000\n",
            "workloads.toml:8: workload \"mix\": the weights sum up to 10001",
        ),
        ("\"POST\"", "\"PO ST\"", "workloads.toml:16: a method is one word"),
        ("\"POST\"", "\"CONNECT\"", "workloads.toml:16: CONNECT opens a tunnel"),
        ("\"POST\"", "\"HEAD\"", "workloads.toml:8: workload \"mix\": HEAD /orders takes no payload"),
        ("content-type =", "Content-Length =", "workloads.toml:18: the header Content-Length cannot be set"),
        ("\"application/json\"", "\"a\\r\\nb\"", "workloads.toml:18: \"content-type\": \"a\\r\\nb\" is not"),
        (
            "status = 201",
            "payload = \"\"",
            "workloads.toml:8: workload \"mix\": POST /orders has `payload` and",
        ),
        ("\"order.json\"", "\"none.json\"", "workloads.toml:19: cannot read none.json"),
        ("path = \"/first\"", "", "workloads.toml:3: workload \"first\": missing field `path`"),
        (
            "name = \"mix\"",
            "name = \"mix\"\nstatus = 200",
            "workloads.toml:8: workload \"mix\": what is asked",
        ),
        (
            "name = \"mix\"",
            "name = \"mix\"\npath = \"/\"",
            "workloads.toml:8: workload \"mix\": what is asked",
        ),
        ("path = \"/first\"", "path = \"/\"\nconnections = 0", "workloads.toml:6: at least one connection"),
    ] {
        let text = MIX.replacen(right, wrong, 1);
        assert_ne!(text, MIX, "nothing is {right:?}");
        let error = read_text("mistake", &text).unwrap_err();
        assert!(error.starts_with(told), "{error}\nand not\n{told}");
    }
}

#[test]
fn the_workloads_that_are_shipped_are_right() {
    let all = read(&data::bench_dir().join("workloads.toml")).unwrap();
    let mixed = select(&all, &["mixed".into()]).unwrap().remove(0);
    assert_eq!(mixed.asked(), "90 × GET /api/light, 9 × GET /health, 1 × GET /api/heavy");
}
