// Numbers and times as text. Every number that the page shows is written by one of these.

const LOCALE = "en-US"; // one notation for everybody: what is read aloud on the phone is found again
const formats = new Map();

export const NONE = "—";

function formatted(value, least, most, signDisplay = "negative") {
  const name = `${least}/${most}/${signDisplay}`;
  let format = formats.get(name);
  if (!format) {
    const digits = { minimumFractionDigits: least, maximumFractionDigits: most };
    format = new Intl.NumberFormat(LOCALE, { ...digits, signDisplay }); // negative: −0 is 0
    formats.set(name, format);
  }
  return format.format(value).replace("-", "−");
}

const written = (write) => (value) =>
  value === null || value === undefined || Number.isNaN(Number(value)) ? NONE : write(Number(value));

/** With exactly so many digits after the point. */
export const fixed = (digits) => written((value) => formatted(value, digits, digits));

/** With at least so many digits that count, and none cut off before the point. */
export const significant = (digits) =>
  written((value) => {
    const size = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
    const places = Math.min(12, Math.max(0, digits - 1 - size));
    return formatted(value, places, places);
  });

export const whole = fixed(0);
export const bps = fixed(2);
export const signedBps = written((value) => formatted(value, 2, 2, "exceptZero"));
export const percent = (digits) => written((value) => `${formatted(100 * value, digits, digits)} %`);
export const money = fixed(2);

/** Milliseconds since 1970 as the time of the day, UTC. */
export const time = written((ms) => new Date(ms).toISOString().slice(11, 23));
export const seconds = written((ms) => new Date(ms).toISOString().slice(11, 19));
export const day = written((ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " "));

/** A span of milliseconds, as people say it. */
export const span = written((ms) => {
  const size = Math.abs(ms);
  if (size < 1000) return `${formatted(ms, 0, 0)} ms`;
  if (size < 60_000) return `${formatted(ms / 1000, 1, 1)} s`;
  if (size < 3_600_000) return `${formatted(ms / 60_000, 0, 0)} min`;
  if (size < 86_400_000) return `${formatted(ms / 3_600_000, 1, 1)} h`;
  return `${formatted(ms / 86_400_000, 1, 1)} days`;
});

/** How many digits after the point a step like 0.001 has. */
export function places(step) {
  const text = String(Number(step));
  const [digits, exponent] = text.split("e-");
  return (digits.split(".")[1] ?? "").length + Number(exponent ?? 0);
}
