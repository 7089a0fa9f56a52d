//! Pictures of another size, as Pillow makes them: where a picture shrinks, [`Interpolation::Bilinear`] weighs as many more of the old
//! pixels, which the layer [`Resizing`](crate::nn::layers::Resizing) does not.

use crate::ops::resize::Interpolation;

/// The old places that a new one is made of: the first one, and the share of each from there on.
struct Taps {
    first: usize,
    shares: Vec<f32>,
}

/// Of each of `new` places, where there were `old`.
fn taps(new: usize, old: usize, interpolation: Interpolation) -> Vec<Taps> {
    let scale = old as f64 / new as f64;
    let reach = scale.max(1.0);
    let one = |place: usize| {
        let centre = (place as f64 + 0.5) * scale;
        if interpolation == Interpolation::Nearest {
            return Taps { first: (centre as usize).min(old - 1), shares: vec![1.0] };
        }
        let (first, end) = ((centre - reach).max(0.0) as usize, ((centre + reach).ceil() as usize).min(old));
        let share = |at: usize| (1.0 - (at as f64 + 0.5 - centre).abs() / reach).max(0.0);
        let shares: Vec<f64> = (first..end).map(share).collect();
        let all: f64 = shares.iter().sum();
        Taps { first, shares: shares.iter().map(|share| (share / all) as f32).collect() }
    };
    (0..new).map(one).collect()
}

/// A picture (height, width, channels) brought to another height and width: first its rows, then its columns.
pub(super) fn resized(
    pixels: &[u8],
    [height, width, channels]: [usize; 3],
    size: [usize; 2],
    interpolation: Interpolation,
) -> Vec<u8> {
    let row = width * channels;
    let columns = taps(size[1], width, interpolation);
    let mut resized = Vec::with_capacity(size[0] * size[1] * channels);
    let mut mixed = vec![0.0f32; row];
    for Taps { first, shares } in taps(size[0], height, interpolation) {
        mixed.fill(0.0);
        for (y, share) in (first..).zip(shares) {
            mixed.iter_mut().zip(&pixels[y * row..]).for_each(|(sum, &pixel)| *sum += share * f32::from(pixel));
        }
        for Taps { first, shares } in &columns {
            for channel in 0..channels {
                let terms = (*first..).zip(shares).map(|(x, share)| share * mixed[x * channels + channel]);
                resized.push(terms.sum::<f32>().round() as u8);
            }
        }
    }
    resized
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Pillow and the `image` crate have it: a triangle over each place, wider where the picture shrinks.
    #[test]
    fn pixels_are_weighed_by_their_distance() {
        let row = |pixels: &[u8], width| resized(pixels, [1, pixels.len(), 1], [1, width], Interpolation::Bilinear);
        assert_eq!(row(&[0, 100], 4), [0, 25, 75, 100]);
        assert_eq!(row(&[0, 100, 200, 40], 4), [0, 100, 200, 40]);
        // (1, 3, 3, 1) / 8 of what lies around, as far as it is there: (3 * 80 + 3 * 0 + 1 * 0) / 7.
        assert_eq!(row(&[80, 0, 0, 0], 2), [34, 0]);
        let nearest = resized(&[1, 2, 3, 4, 5, 6], [2, 3, 1], [4, 2], Interpolation::Nearest);
        assert_eq!(nearest, [1, 3, 1, 3, 4, 6, 4, 6]);
        let colours = resized(&[0, 10, 20, 100, 110, 120], [1, 2, 3], [3, 1], Interpolation::Bilinear);
        assert_eq!(colours, [50, 60, 70].repeat(3));
    }
}
