// Random weights with the bits of numpy's `RandomState`, the generator of the service's trainings.

const SIZE = 624;
const SHIFT = 397;

// Return the matrices of a network with layers of `sizes`: uniform in [-1, 1), matrix by matrix and
// row by row. weights[d][i][j] leads from node i of layer d to node j of layer d + 1.
export function randomWeights(sizes, seed) {
  const sample = randomSample(seed);
  return sizes.slice(1).map((nodes, d) =>
    Array.from({ length: sizes[d] }, () => Array.from({ length: nodes }, () => 2 * sample() - 1)));
}

// Return a function that draws from [0, 1): the Mersenne Twister MT19937 (Matsumoto and Nishimura,
// 1998), with 53 bits of two draws, as `RandomState(seed).random_sample` does it.
function randomSample(seed) {
  const state = new Uint32Array(SIZE);
  state[0] = seed;
  for (let i = 1; i < SIZE; i += 1) {
    state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  }
  let position = SIZE;

  function draw() {
    if (position === SIZE) {
      renew(state);
      position = 0;
    }
    let bits = state[position];
    position += 1;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  }

  return () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53;
}

function renew(state) {
  for (let i = 0; i < SIZE; i += 1) {
    const bits = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
    state[i] = state[(i + SHIFT) % SIZE] ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
  }
}
