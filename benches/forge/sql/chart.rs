//! The ratios as a small picture.
use std::fmt::Write as _;

/// One bar for each workload, with a mark at its aim.
#[derive(Default)]
pub(crate) struct Chart(Vec<Bar>);

struct Bar {
    what: String,
    ratio: f64,
    aim: f64,
}

const LINE: usize = 28;
const LEFT: usize = 270;
/// Pixels of a ratio of one.
const ONE: f64 = 300.0;

impl Chart {
    pub(crate) fn bar(&mut self, what: &str, ratio: f64, aim: f64) {
        let what = what.to_owned();
        self.0.push(Bar { what, ratio, aim });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As SVG that is legible on light and dark pages.
    pub(crate) fn svg(&self) -> String {
        let height = (self.0.len() + 1) * LINE;
        let width = LEFT + 400;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        for (line, Bar { what, ratio, aim }) in self.0.iter().enumerate() {
            let top = line * LINE + 6;
            let baseline = top + 13;
            let (bar, mark) = (ratio.min(1.25) * ONE, LEFT as f64 + aim * ONE);
            let colour = if ratio >= aim { "#2e7d32" } else { "#b26a00" };
            let _ = writeln!(
                svg,
                "<text x=\"8\" y=\"{baseline}\" fill=\"#222222\">{what}</text>\
                 <rect x=\"{LEFT}\" y=\"{top}\" width=\"{bar:.0}\" height=\"16\" fill=\"{colour}\"/>\
                 <line x1=\"{mark:.0}\" x2=\"{mark:.0}\" y1=\"{}\" y2=\"{}\" stroke=\"#222222\"/>\
                 <text x=\"{:.0}\" y=\"{baseline}\" fill=\"#222222\">{ratio:.2}</text>",
                top - 3,
                top + 19,
                LEFT as f64 + bar.max(aim * ONE) + 8.0,
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\" fill=\"#666666\" font-size=\"11\">part of the ceiling; the line is the aim</text>\n</svg>",
            height - 8
        );
        svg
    }
}
