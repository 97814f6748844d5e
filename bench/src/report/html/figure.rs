//! A figure of the page: a plot for wide pages and one for phones, with a caption.

use super::super::figures::Plot;
use super::super::plot::Width;
use super::escape;

/// Numbers the figures of a page.
#[derive(Default)]
pub struct Figures {
    count: usize,
}

impl Figures {
    pub fn figure(&mut self, plot: &Plot<'_>) -> String {
        self.count += 1;
        let svg = |width: Width, class: &str| {
            let drawing = (plot.draw)(width);
            let id = format!("figure-{}-{class}", self.count);
            format!(
                "<svg class=\"{class}\" viewBox=\"{view}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
                 xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"{id}-t\">{title}</title>\n\
                 <desc id=\"{id}-d\">{description}</desc>\n{shapes}\n</svg>\n",
                view = drawing.view_box(),
                title = escape(plot.title),
                description = escape(plot.description),
                shapes = drawing.shapes,
            )
        };
        format!(
            "<figure>\n<h3>{title}</h3>\n{wide}{narrow}<figcaption>{caption}</figcaption>\n</figure>\n",
            wide = svg(Width::Wide, "wide"),
            narrow = svg(Width::Narrow, "narrow"),
            title = escape(plot.title),
            caption = escape(&plot.caption),
        )
    }
}
