// What stands beyond the edges of images, by FILL: 0 the image mirrored, 1 the edge's pixel, 2 the image again, 3 a number.

override FILL: u32 = 0;

// The place, within the image, of one that may lie outside, however far; -1 where there is none.
fn place(k: i32, extent: i32) -> i32 {
    switch FILL {
        case 0u: {
            let m = (k % (2 * extent) + 2 * extent) % (2 * extent);
            return min(m, 2 * extent - 1 - m);
        }
        case 1u: {
            return clamp(k, 0, extent - 1);
        }
        case 2u: {
            return (k % extent + extent) % extent;
        }
        default: {
            return select(-1, k, k >= 0 && k < extent);
        }
    }
}
