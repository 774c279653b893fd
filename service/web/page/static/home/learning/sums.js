// Sums over rows, rounded like numpy's, which the service uses for batches.
//
// numpy adds the rows of a matrix one after another. If the matrix has a single column, it adds pairwise
// instead: 8 partial sums for up to 128 numbers, and two halves for more.

// The service processes so many rows at a time, and adds the sums of these blocks.
export const BLOCK_ROWS = 2048;

// Return the sum of the numbers at(0) … at(count - 1), which are one of `columns` of a matrix.
export function sumOfRows(count, columns, at, blockRows = BLOCK_ROWS) {
  const add = columns === 1 ? pairwiseSum : sequentialSum;
  let total = 0;
  for (let start = 0; start < count; start += blockRows) {
    total += add(start, Math.min(start + blockRows, count), at);
  }
  return total;
}

function sequentialSum(start, end, at) {
  let total = 0;
  for (let row = start; row < end; row += 1) total += at(row);
  return total;
}

function pairwiseSum(start, end, at) {
  const count = end - start;
  if (count < 8) return sequentialSum(start, end, at);
  if (count > 128) {
    const half = Math.floor(count / 2);
    const middle = start + half - (half % 8);
    return pairwiseSum(start, middle, at) + pairwiseSum(middle, end, at);
  }
  const p = Array.from({ length: 8 }, (_, i) => at(start + i));
  let row = start + 8;
  for (; row < end - (count % 8); row += 8) {
    for (let i = 0; i < 8; i += 1) p[i] += at(row + i);
  }
  let total = p[0] + p[1] + (p[2] + p[3]) + (p[4] + p[5] + (p[6] + p[7]));
  for (; row < end; row += 1) total += at(row);
  return total;
}
