// Windows over images x (images, height, width, channels), and y (images, rows, columns, channels) with a number for each window.
// Window i of an axis begins at place i * stride, counted from the first pixel added before the image, and has `reach` places,
// of which every `dilation`th counts. ADAPTIVE: it has the pixels from floor(i * extent / windows) to below
// ceil((i + 1) * extent / windows).

override ADAPTIVE: bool = false;
// The activation whose gradient dx is multiplied by, from its output h (lib/activation.wgsl); 0 for none.
override ACTIVATION_GRAD: u32 = 0u;

struct Params {
    n: u32,
    // Numbers of a pixel, each of one channel or of four.
    channels: u32,
    height: u32,
    width: u32,
    rows: u32,
    columns: u32,
    stride_0: u32,
    stride_1: u32,
    reach_0: u32,
    reach_1: u32,
    dilation_0: u32,
    dilation_1: u32,
    before_0: u32,
    before_1: u32,
    // The places, from `low` to below `high`, that an average counts.
    low_0: u32,
    low_1: u32,
    high_0: u32,
    high_1: u32,
    // -infinity, which WGSL has no literal for.
    lowest: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

struct Axis {
    extent: u32,
    windows: u32,
    stride: u32,
    reach: u32,
    dilation: u32,
    before: u32,
    low: u32,
    high: u32,
}

// From `start` to below `end`.
struct Span {
    start: u32,
    end: u32,
}

// Of an element of x or y.
struct Place {
    image: u32,
    row: u32,
    column: u32,
    channel: u32,
}

fn vertical() -> Axis {
    return Axis(
        params.height, params.rows, params.stride_0, params.reach_0, params.dilation_0, params.before_0, params.low_0,
        params.high_0,
    );
}

fn horizontal() -> Axis {
    return Axis(
        params.width, params.columns, params.stride_1, params.reach_1, params.dilation_1, params.before_1, params.low_1,
        params.high_1,
    );
}

fn place_of(i: u32, rows: u32, columns: u32) -> Place {
    let pixel = i / params.channels;
    let row = pixel / columns;
    return Place(row / rows, row % rows, pixel % columns, i % params.channels);
}

// Element i of dx. The module binds h, and has `slope_of` for as many channels as a Number is of.
fn sloped(gradient: Number, i: u32) -> Number {
    if ACTIVATION_GRAD == 0u {
        return gradient;
    }
    return gradient * slope_of(h[i]);
}

// Where the first pixel of an image lies, in the place's channel.
fn image_of(place: Place) -> u32 {
    return place.image * params.height * params.width * params.channels + place.channel;
}

fn adapted(i: u32, from_extent: u32, to_extent: u32) -> Span {
    return Span(i * to_extent / from_extent, ((i + 1u) * to_extent + from_extent - 1u) / from_extent);
}

// The first place of a window, of those `dilation` apart, that is not before `low`.
fn first_from(low: u32, first: u32, dilation: u32) -> u32 {
    return first + (max(low, first) - first + dilation - 1u) / dilation * dilation;
}

// The pixels of the image under a window, each `dilation`th of them.
fn pixels_of(window: u32, axis: Axis) -> Span {
    if ADAPTIVE {
        return adapted(window, axis.windows, axis.extent);
    }
    let first = window * axis.stride;
    let start = first_from(axis.before, first, axis.dilation);
    let end = max(start, min(first + axis.reach, axis.before + axis.extent));
    return Span(start - axis.before, end - axis.before);
}

// The windows that reach over a pixel.
fn windows_over(pixel: u32, axis: Axis) -> Span {
    if ADAPTIVE {
        return adapted(pixel, axis.extent, axis.windows);
    }
    let place = pixel + axis.before;
    let end = min(place / axis.stride + 1u, axis.windows);
    let start = select(0u, (place - axis.reach) / axis.stride + 1u, place >= axis.reach);
    return Span(min(start, end), end);
}
