// Asks the server to draw its part of the page again, once, after `data.seconds`; with null it is silent.

const timers = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  clearTimeout(timers.get(parentElement));
  if (data.seconds !== null) {
    timers.set(parentElement, setTimeout(() => setTriggerValue("beat", data.beat), 1000 * data.seconds));
  }
  return () => clearTimeout(timers.get(parentElement));
}
