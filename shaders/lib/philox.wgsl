// Philox-4x32-10: four random words of a counter under a key. src/kernel/philox.rs is the same in Rust, with its source.

// The high words of a.x * b.x and a.y * b.y, from products of halves: WGSL has no 64-bit integers.
fn high_words(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let half = vec2(0xffffu);
    let low = (a & half) * (b & half);
    let cross = (a >> vec2(16u)) * (b & half) + (low >> vec2(16u));
    let other = (a & half) * (b >> vec2(16u)) + (cross & half);
    return (a >> vec2(16u)) * (b >> vec2(16u)) + (cross >> vec2(16u)) + (other >> vec2(16u));
}

fn philox(first_counter: vec4<u32>, first_key: vec2<u32>) -> vec4<u32> {
    let factors = vec2(0xD2511F53u, 0xCD9E8D57u);
    var counter = first_counter;
    var key = first_key;
    for (var round = 0; round < 10; round++) {
        let high = high_words(factors, counter.xz);
        let low = factors * counter.xz;
        counter = vec4(high.y ^ counter.y ^ key.x, low.y, high.x ^ counter.w ^ key.y, low.x);
        key += vec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// The random word of element i of the op `salt` in the step and under the seed that the clock holds.
fn random_word(i: u32, salt: u32, clock: vec4<u32>) -> u32 {
    let words = philox(vec4(i / 4u, clock.z, salt, 0u), vec2(clock.w, 0u));
    // Not words[i % 4u]: DX12 compiles a variable index into registers slowly.
    let pair = select(words.xy, words.zw, (i & 2u) != 0u);
    return select(pair.x, pair.y, (i & 1u) != 0u);
}
