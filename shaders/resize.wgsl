// y of x with another number of places along an axis: x is (outer, x_extent, inner), y (outer, y_extent, inner). Place o of y stands at
// (o + 1/2) x_extent / y_extent - 1/2 of x, a quotient of whole numbers: y[o] = (1 - w) x[k] + w x[k + 1], where it is w beyond
// place k, or, where NEAREST = 1, the x whose pixel it lies in. `resize_grad` is the transposed map: x[k] = sum of the weights that k
// has in o times y[o], in the order of o; there x is the one written. One invocation makes one of n elements.

struct Params {
    n: u32,
    inner: u32,
    x_extent: u32,
    y_extent: u32,
}

override NEAREST: u32 = 0;

@group(0) @binding(0) var<storage, read> given: array<f32>;
@group(0) @binding(1) var<storage, read_write> made: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// The two places of x that a place of y is between, and the weight of the second.
struct Taps {
    places: vec2<u32>,
    weight: f32,
}

fn taps(o: u32) -> Taps {
    let middle = (2u * o + 1u) * params.x_extent;
    let parts = 2u * params.y_extent;
    if NEAREST == 1u {
        return Taps(vec2(middle / parts), 0.0);
    }
    let at = select(middle - params.y_extent, 0u, middle < params.y_extent);
    let k = at / parts;
    return Taps(vec2(k, min(k + 1u, params.x_extent - 1u)), f32(at % parts) / f32(parts));
}

@compute @workgroup_size(WIDTH)
fn resize(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let outer = i / (params.y_extent * params.inner);
    let places = taps((i / params.inner) % params.y_extent);
    let first = outer * params.x_extent * params.inner + i % params.inner;
    let a = given[first + places.places.x * params.inner];
    if NEAREST == 1u {
        made[i] = a;
        return;
    }
    made[i] = (1.0 - places.weight) * a + places.weight * given[first + places.places.y * params.inner];
}

@compute @workgroup_size(WIDTH)
fn resize_grad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let k = (i / params.inner) % params.x_extent;
    let first = i / (params.x_extent * params.inner) * params.y_extent * params.inner + i % params.inner;
    // What may stand less than a place away from k; the weights tell which does.
    let before = params.y_extent * (2u * max(k, 1u) - 1u) / (2u * params.x_extent);
    let begin = select(before - min(before, 1u), 0u, k == 0u);
    let end = min(params.y_extent, params.y_extent * (2u * k + 3u) / (2u * params.x_extent) + 1u);
    var sum = 0.0;
    for (var o = begin; o < end; o++) {
        let places = taps(o);
        let weight = select(0.0, 1.0 - places.weight, places.places.x == k)
            + select(0.0, places.weight, places.places.y == k);
        // A number that has no part in k gives nothing, infinity among them.
        if weight > 0.0 {
            sum += weight * given[first + o * params.inner];
        }
    }
    made[i] = sum;
}
