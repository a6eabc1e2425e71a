// Times for people.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

const startOfDay = (time) => new Date(time).setHours(0, 0, 0, 0);

/** `18:04` */
export const timeOfDay = (time) => clock.format(new Date(time));

/** The whole of it, to hover over. */
export const exactly = (time) => full.format(new Date(time));

/** `Today`, `Yesterday` or the date. */
export function day(time) {
  const days = Math.round((startOfDay(Date.now()) - startOfDay(time)) / 86_400_000);
  return days === 0 ? 'Today' : days === 1 ? 'Yesterday' : date.format(new Date(time));
}

/** Whether two times are on different days. */
export const otherDay = (a, b) => startOfDay(a) !== startOfDay(b);

/** How long ago, roughly. */
export function ago(time) {
  const minutes = Math.floor((Date.now() - new Date(time)) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  return otherDay(time, Date.now()) ? `${day(time)}, ${timeOfDay(time)}` : `at ${timeOfDay(time)}`;
}
