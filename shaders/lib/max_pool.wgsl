// y[window] = the largest x[pixel] of the pixels under it, NaN where there is one                      entry `forward`
// dx[pixel] = sum of dy[window] over the windows of which it is the first with the largest x          entries `gradient`, `apart`
//             times f'(h[pixel]) where ACTIVATION_GRAD = f
// Images and windows as lib/pool.wgsl has them. Where windows overlap, `places` leaves the pixel of each window's largest, and
// `gradient` looks at the windows over its pixel. Where they do not, `apart` makes all pixels of a block, which is a window and
// what is left to the next one. What is added at edges has no pixels: a window over it alone is -infinity.
// One invocation makes one Number of y, places or dx; of `apart` one block of a Number.
// A Number is of one channel or of four neighbours.

@group(0) @binding(1) var<storage, read> x: array<Number>;
@group(0) @binding(2) var<storage, read_write> y: array<Number>;
@group(0) @binding(2) var<storage, read_write> made: array<Pixels>;
@group(0) @binding(1) var<storage, read> places: array<Pixels>;
@group(0) @binding(2) var<storage, read> dy: array<Number>;
@group(0) @binding(3) var<storage, read_write> dx: array<Number>;
@group(0) @binding(4) var<storage, read> h: array<Number>;

// Rows and columns of blocks.
override BLOCK_ROWS: u32 = 1u;
override BLOCK_COLUMNS: u32 = 1u;

// Of each channel.
struct Largest {
    value: Number,
    pixel: Pixels,
}

// The pixel of a window that has none.
const NONE: u32 = 0xffffffffu;

fn is_nan_each(x: Number) -> Truths {
    return (bitcast<Pixels>(x) & Pixels(0x7fffffffu)) > Pixels(0x7f800000u);
}

// As `displaces` of lib/nan.wgsl.
fn displaces_each(x: Number, largest: Number) -> Truths {
    return (x > largest) | (is_nan_each(x) & !is_nan_each(largest));
}

fn largest_under(window: Place) -> Largest {
    let rows = pixels_of(window.row, vertical());
    let columns = pixels_of(window.column, horizontal());
    let image = image_of(window);
    var largest = Largest(Number(0.0), Pixels(NONE));
    for (var h = rows.start; h < rows.end; h += params.dilation_0) {
        for (var w = columns.start; w < columns.end; w += params.dilation_1) {
            let pixel = h * params.width + w;
            let value = x[image + pixel * params.channels];
            let is_larger = (largest.pixel == Pixels(NONE)) | displaces_each(value, largest.value);
            largest.value = select(largest.value, value, is_larger);
            largest.pixel = select(largest.pixel, Pixels(pixel), is_larger);
        }
    }
    return largest;
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let largest = largest_under(place_of(i, params.rows, params.columns));
    y[i] = select(largest.value, Number(params.lowest), largest.pixel == Pixels(NONE));
}

@compute @workgroup_size(WIDTH)
fn places_of_largest(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        made[i] = largest_under(place_of(i, params.rows, params.columns)).pixel;
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let place = place_of(i, params.height, params.width);
    let rows = windows_over(place.row, vertical());
    let columns = windows_over(place.column, horizontal());
    let pixel = place.row * params.width + place.column;
    var sum = Number(0.0);
    for (var row = rows.start; row < rows.end; row++) {
        for (var column = columns.start; column < columns.end; column++) {
            let window = (place.image * params.rows + row) * params.columns + column;
            let at = window * params.channels + place.channel;
            sum += select(Number(0.0), dy[at], places[at] == Pixels(pixel));
        }
    }
    dx[i] = sloped(sum, i);
}

// The pixels of a block along an axis: the places of a stride.
fn pixels_of_block(block: u32, axis: Axis) -> Span {
    let first = max(block * axis.stride, axis.before);
    let end = max(first, min((block + 1u) * axis.stride, axis.before + axis.extent));
    return Span(first - axis.before, end - axis.before);
}

@compute @workgroup_size(WIDTH)
fn apart(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let block = place_of(i, BLOCK_ROWS, BLOCK_COLUMNS);
    var pixel = Pixels(NONE);
    var gradient = Number(0.0);
    // Behind the last window there may be pixels that none is over.
    if block.row < params.rows && block.column < params.columns {
        pixel = largest_under(block).pixel;
        let window = (block.image * params.rows + block.row) * params.columns + block.column;
        gradient = dy[window * params.channels + block.channel];
    }
    let rows = pixels_of_block(block.row, vertical());
    let columns = pixels_of_block(block.column, horizontal());
    let image = image_of(block);
    for (var h = rows.start; h < rows.end; h++) {
        for (var w = columns.start; w < columns.end; w++) {
            let at = h * params.width + w;
            let place = image + at * params.channels;
            dx[place] = sloped(select(Number(0.0), gradient, Pixels(at) == pixel), place);
        }
    }
}
