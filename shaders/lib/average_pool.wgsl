// y[window] = sum of x[pixel] over the pixels under it / count[window]                    entry `forward`
// dx[pixel] = sum over the windows over it of dy[window] / count[window]                  entry `gradient`
//             times f'(h[pixel]) where ACTIVATION_GRAD = f
// Images and windows as lib/pool.wgsl has them; count[window] is how many of its places an average counts, at least 1.
// One invocation makes one Number of y or dx, of one channel or of four neighbours.

@group(0) @binding(1) var<storage, read> x: array<Number>;
@group(0) @binding(2) var<storage, read_write> y: array<Number>;
@group(0) @binding(1) var<storage, read> dy: array<Number>;
@group(0) @binding(2) var<storage, read_write> dx: array<Number>;
@group(0) @binding(3) var<storage, read> h: array<Number>;

fn count_of(window: u32, axis: Axis) -> u32 {
    if ADAPTIVE {
        let pixels = pixels_of(window, axis);
        return pixels.end - pixels.start;
    }
    let first = window * axis.stride;
    let start = first_from(axis.low, first, axis.dilation);
    let end = max(start, min(first + axis.reach, axis.high));
    return (end - start + axis.dilation - 1u) / axis.dilation;
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let window = place_of(i, params.rows, params.columns);
    let rows = pixels_of(window.row, vertical());
    let columns = pixels_of(window.column, horizontal());
    let image = image_of(window);
    var sum = Number(0.0);
    for (var h = rows.start; h < rows.end; h += params.dilation_0) {
        for (var w = columns.start; w < columns.end; w += params.dilation_1) {
            sum += x[image + (h * params.width + w) * params.channels];
        }
    }
    y[i] = sum / f32(max(count_of(window.row, vertical()) * count_of(window.column, horizontal()), 1u));
}

// Whether a pixel is one of those of a window that reaches over it.
fn is_under(pixel: u32, window: u32, axis: Axis) -> bool {
    return ADAPTIVE || (pixel + axis.before - window * axis.stride) % axis.dilation == 0u;
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
    var sum = Number(0.0);
    for (var row = rows.start; row < rows.end; row++) {
        for (var column = columns.start; column < columns.end; column++) {
            if is_under(place.row, row, vertical()) && is_under(place.column, column, horizontal()) {
                let window = (place.image * params.rows + row) * params.columns + column;
                let count = max(count_of(row, vertical()) * count_of(column, horizontal()), 1u);
                sum += dy[window * params.channels + place.channel] / f32(count);
            }
        }
    }
    dx[i] = sloped(sum, i);
}
