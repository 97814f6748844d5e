//! A real browser, to look at pages with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ounce_bench::launch::{Process, Spawn};
use ounce_bench::target::find_program;
use serde::Deserialize;

/// Chromium without a window.
pub struct Browser {
    program: PathBuf,
    dir: PathBuf,
}

/// What a page looks like.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// Of the whole document, in pixels.
    pub scroll_width: u32,
    pub height: u32,
    /// The colours of the page, and of the first text of the first plot.
    pub paper: String,
    pub ink: String,
    /// Texts of plots that lie on each other or are cut off.
    pub overlaps: Vec<String>,
    #[serde(default)]
    pub screenshot: PathBuf,
}

/// Runs in the page, and tells the one around it what it sees.
const LOOK: &str = r#"<script>
addEventListener('load', () => {
  const overlaps = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) continue;
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent.trim(), text.getBoundingClientRect()]);
    const name = svg.querySelector('title').textContent;
    texts.forEach(([a, box], index) => {
      if (box.left < frame.left - 1.5 || box.right > frame.right + 1.5) overlaps.push(`${name}: "${a}" is cut off`);
      for (const [b, other] of texts.slice(0, index)) {
        const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
        const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
        if (across > 1 && down > 4) overlaps.push(`${name}: "${a}" on "${b}"`);
      }
    });
  }
  parent.postMessage(JSON.stringify({
    scroll_width: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight,
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector('figure svg text')).fill,
    overlaps,
  }), '*');
});
</script>"#;

impl Browser {
    /// A browser that is installed, with a directory for what it leaves behind.
    pub fn find(dir: &Path) -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
        let program = names.into_iter().find_map(find_program)?;
        Some(Self { program, dir: dir.to_owned() })
    }

    /// Opens the page at a width, and keeps a picture of it.
    pub fn look(&self, name: &str, page: &str, width: u32, dark: bool) -> Seen {
        // What the page forbids itself, scripts, is what looks at it.
        let (before, policy) = page.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
        let open = format!("{before}{LOOK}{}", policy.split_once('>').unwrap().1);
        self.write(&format!("{name}.html"), &open);
        let around = self.around(name, width, 1000);
        let text = self.run(name, dark, &["--dump-dom", "--virtual-time-budget=10000", &around]);
        let told = text.split_once("<output>").and_then(|(_, rest)| rest.split_once("</output>"));
        let told = told.unwrap_or_else(|| panic!("{name}: the page told nothing: {text}")).0;
        let mut seen: Seen =
            serde_json::from_str(&told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
                .unwrap_or_else(|error| panic!("{error}: {told}"));
        seen.screenshot = self.dir.join(format!("{name}.png"));
        let around = self.around(name, width, seen.height);
        let picture = format!("--screenshot={}", seen.screenshot.display());
        let size = format!("--window-size={},{}", width.max(500), seen.height);
        self.run(name, dark, &[&picture, &size, &around]);
        seen
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A browser's window cannot be as narrow as a phone; a frame in a page can.
    fn around(&self, name: &str, width: u32, height: u32) -> String {
        let page = format!(
            "<!doctype html><meta name=\"color-scheme\" content=\"light dark\"><style>body{{margin:0}}output{{display:none}}iframe{{border:0;display:block}}\
             </style><output></output><script>onmessage = event => document.querySelector('output').textContent = event.data\
             </script><iframe src=\"{name}.html\" width=\"{width}\" height=\"{height}\"></iframe>"
        );
        format!("file://{}", self.write(&format!("{name}-around.html"), &page).display())
    }

    fn run(&self, name: &str, dark: bool, words: &[&str]) -> String {
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let profile = format!("--user-data-dir={}", self.dir.join(format!("{name}-profile")).display());
        let program = self.program.to_string_lossy();
        let all = [
            &[
                program.as_ref(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                &scheme,
                &profile,
            ],
            words,
        ]
        .concat();
        let process = Process::spawn(&Spawn::new(all)).unwrap();
        let (code, stdout, stderr) = super::ended(process, Duration::from_secs(120));
        assert_eq!(code, 0, "{name}: {stderr}");
        stdout
    }
}
