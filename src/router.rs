//! The routes, declared once: the service dispatches on them, metrics take their labels from them.

use http::Method;

/// One line of the table.
pub struct Route {
    /// The template, which is also the metrics label. It may end in `{id}`.
    pub path: &'static str,
    /// Methods besides HEAD, which is served wherever GET is.
    pub methods: &'static [Verb],
    pub action: Action,
}

/// Stands for one segment of a path.
const PLACEHOLDER: &str = "{id}";

/// What a route does; `service` maps it to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Welcome,
    Style,
    Script,
    Light,
    Heavy,
    Slow,
    Analyze,
    AnalyzeBatch,
    Jobs,
    Job,
    Live,
    Ready,
    Health,
    Metrics,
}

/// What belongs to workload *analyze*.
pub const ANALYZE: &[Action] = &[Action::Analyze, Action::AnalyzeBatch];

/// What belongs to workload *jobs*.
pub const JOBS: &[Action] = &[Action::Jobs, Action::Job];

/// What the page at `/` is made of; nobody asks for it by hand.
pub const PAGE: &[Action] = &[Action::Style, Action::Script];

const fn get(path: &'static str, action: Action) -> Route {
    Route { path, methods: &[Verb::Get], action }
}

const fn post(path: &'static str, action: Action) -> Route {
    Route { path, methods: &[Verb::Post], action }
}

pub static ROUTES: &[Route] = &[
    get("/api/light", Action::Light),
    get("/api/heavy", Action::Heavy),
    get("/api/slow", Action::Slow),
    post("/analyze", Action::Analyze),
    post("/analyze/batch", Action::AnalyzeBatch),
    Route { path: "/jobs", methods: &[Verb::Get, Verb::Post], action: Action::Jobs },
    Route { path: "/jobs/{id}", methods: &[Verb::Get, Verb::Delete], action: Action::Job },
    get("/", Action::Welcome),
    get("/page.css", Action::Style),
    get("/page.js", Action::Script),
    get("/livez", Action::Live),
    get("/readyz", Action::Ready),
    get("/healthz", Action::Health),
    get("/health", Action::Health),
    get("/api/health", Action::Health),
    get("/metrics", Action::Metrics),
    get("/api/metrics", Action::Metrics),
];

/// Which routes a listener serves, when metrics have a port of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Everything,
    Service,
    Metrics,
}

impl Surface {
    /// Whether `route` is served here.
    pub fn serves(self, route: &Route) -> bool {
        match self {
            Surface::Everything => true,
            Surface::Service => route.action != Action::Metrics,
            Surface::Metrics => route.action == Action::Metrics,
        }
    }
}

/// The methods that are told apart. The set is closed, so that clients cannot grow a metric's label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Other,
}

impl Verb {
    pub const ALL: [Verb; 8] =
        [Verb::Get, Verb::Head, Verb::Post, Verb::Put, Verb::Delete, Verb::Patch, Verb::Options, Verb::Other];

    pub fn of(method: &Method) -> Verb {
        match *method {
            Method::GET => Verb::Get,
            Method::HEAD => Verb::Head,
            Method::POST => Verb::Post,
            Method::PUT => Verb::Put,
            Method::DELETE => Verb::Delete,
            Method::PATCH => Verb::Patch,
            Method::OPTIONS => Verb::Options,
            _ => Verb::Other,
        }
    }

    pub fn as_str(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// In the order of [`Verb::ALL`].
const NAMES: [&str; Verb::ALL.len()] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"];

/// What a request asks for.
#[derive(Clone, Copy)]
pub struct Target {
    pub verb: Verb,
    /// Position in [`ROUTES`]; `None` when no route has this path.
    pub route: Option<usize>,
}

impl Target {
    /// What a request counts as when its head could not even be read.
    pub const UNREADABLE: Target = Target { verb: Verb::Other, route: None };

    pub fn find(method: &Method, path: &str, surface: Surface) -> Target {
        let route = ROUTES.iter().position(|route| route.matches(path) && surface.serves(route));
        Target { verb: Verb::of(method), route }
    }

    /// The label for metrics and logs: the template, never the raw path.
    pub fn label(&self) -> &'static str {
        self.route.map_or("unmatched", |index| ROUTES[index].path)
    }
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        // Nearly all have none, which a look at their last byte tells: every request comes by here.
        let Some(stem) = self.path.strip_suffix(PLACEHOLDER) else { return self.path == path };
        path.strip_prefix(stem).is_some_and(|last| !last.is_empty() && !last.as_bytes().contains(&b'/'))
    }

    pub fn accepts(&self, verb: Verb) -> bool {
        let verb = if verb == Verb::Head { Verb::Get } else { verb };
        self.methods.contains(&verb)
    }

    /// The value of the `Allow` header (RFC 9110, section 10.2.1).
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> = self.methods.iter().map(|verb| verb.as_str()).collect();
        if self.accepts(Verb::Head) {
            names.push(Verb::Head.as_str());
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_once_and_head_goes_with_get() {
        for (index, route) in ROUTES.iter().enumerate() {
            let target = Target::find(&Method::HEAD, route.path, Surface::Everything);
            assert_eq!(target.route, Some(index), "{}", route.path);
            assert_eq!(route.accepts(Verb::Head), route.accepts(Verb::Get), "{}", route.path);
        }
    }

    #[test]
    fn what_clients_invent_has_fixed_labels() {
        let method = Method::from_bytes(b"BREW").unwrap();
        let target = Target::find(&method, "/api/light/../x", Surface::Everything);
        assert_eq!((target.verb.as_str(), target.label()), ("other", "unmatched"));
    }

    #[test]
    fn a_placeholder_stands_for_one_segment() {
        let label = |path| Target::find(&Method::GET, path, Surface::Everything).label();
        assert_eq!(
            (label("/jobs"), label("/jobs/7"), label("/jobs/%20")),
            ("/jobs", "/jobs/{id}", "/jobs/{id}")
        );
        assert_eq!([label("/jobs/"), label("/jobs/7/8"), label("/jobsx")], ["unmatched"; 3]);
    }

    #[test]
    fn metrics_leave_the_service_port_when_they_have_their_own() {
        let on = |surface, path| Target::find(&Method::GET, path, surface).route.is_some();
        assert!(on(Surface::Everything, "/metrics") && on(Surface::Everything, "/api/light"));
        assert!(!on(Surface::Service, "/metrics") && on(Surface::Service, "/api/light"));
        assert!(on(Surface::Metrics, "/metrics") && !on(Surface::Metrics, "/api/light"));
    }

    #[test]
    fn allow_names_head() {
        assert_eq!(ROUTES[0].allow(), "GET, HEAD");
    }
}
