//! Curves as a picture: one panel each, as SVG.
//!
//! What a piece of work costs, in terms of what it costs where there is least,
//! over how much there is, in powers of ten. A line that stays at 1 is work
//! that grows linearly.

use std::fmt::Write as _;

use crate::bench::figure::{Curve, readable};

const COLUMNS: usize = 3;
/// Of a panel, in pixels.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
/// Around what is drawn in it: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (40.0, 24.0, 44.0, 34.0);
/// The cost, relative to the first, that reaches the top; more if need be.
const TOP_MIN: f64 = 2.0;

/// The picture.
pub(crate) fn svg(curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS).max(1);
    #[expect(clippy::cast_precision_loss, reason = "some panels")]
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, curve) in curves.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "some panels")]
        let (left, top) = (
            (index % COLUMNS) as f64 * WIDTH,
            (index / COLUMNS) as f64 * HEIGHT,
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "<g transform=\"translate({left} {top})\">");
        panel(&mut text, curve);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, curve: &Curve) {
    let (left, right, top, bottom) = MARGINS;
    let (inner_width, inner_height) = (WIDTH - left - right, HEIGHT - top - bottom);
    let first = curve.points.first().map_or(1.0, |(_, cost)| cost.max(1e-9));
    let relative: Vec<(f64, f64)> = curve
        .points
        .iter()
        .map(|(size, cost)| {
            #[expect(clippy::cast_precision_loss, reason = "drawn to the pixel")]
            let size = (*size).max(1) as f64;
            (size.log10(), cost / first)
        })
        .collect();
    let most = relative
        .iter()
        .map(|(_, cost)| *cost)
        .fold(TOP_MIN, f64::max);
    let begin = relative.first().map_or(0.0, |(size, _)| *size);
    let end = relative
        .last()
        .map_or(1.0, |(size, _)| *size)
        .max(begin + 1.0);
    let x = |size: f64| left + (size - begin) / (end - begin) * inner_width;
    let y = |cost: f64| top + (1.0 - cost / most) * inner_height;
    let name = escaped(&curve.name);
    let along = escaped(&curve.along);
    let _ = write!(
        text,
        "<text x=\"{left}\" y=\"16\" font-weight=\"bold\">{name}</text>\n\
         <text x=\"{left}\" y=\"31\" fill=\"#555\">times the first, by {along}</text>\n"
    );
    for cost in [0.0, 1.0, most] {
        let at = y(cost);
        let _ = write!(
            text,
            "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{}</text>\n",
            left + inner_width,
            left - 5.0,
            at + 4.0,
            short(cost),
        );
    }
    let line: Vec<String> = relative
        .iter()
        .map(|(size, cost)| format!("{:.1},{:.1}", x(*size), y(*cost)))
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f5fbf\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    for ((size, cost), (count, absolute)) in relative.iter().zip(&curve.points) {
        let (at_x, at_y) = (x(*size), y(*cost));
        let _ = write!(
            text,
            "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3\" fill=\"#1f5fbf\"/>\n\
             <text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} {}</text>\n\
             <text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{count}</text>\n",
            at_y - 7.0,
            readable(*absolute),
            escaped(&curve.unit),
            HEIGHT - bottom + 16.0,
        );
    }
}

fn short(cost: f64) -> String {
    if cost.fract().abs() < 0.05 {
        format!("{cost:.0}")
    } else {
        format!("{cost:.1}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_panel_for_each_curve() {
        let mut curve = Curve::new("a <call>", "series", "us");
        curve.points = vec![(1_000, 2.0), (10_000, 2.0), (100_000, 8.0)];
        let text = svg(&[curve, Curve::new("nothing", "series", "us")]);
        assert_eq!(text.matches("<g ").count(), 2);
        assert_eq!(text.matches("<circle ").count(), 3);
        // Where there is least at the left, and 4 times the cost at the top.
        assert!(
            text.contains("points=\"40.0,128.0 158.0,128.0 276.0,44.0\""),
            "{text}"
        );
        assert!(text.contains("a &lt;call&gt;"));
        assert!(text.contains("8.00 us"));
    }
}
