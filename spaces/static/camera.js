// The camera: a video element and a loop that hands out frames, one at a time, for as long as it is on.

/** So many times of frames make the rate that is shown. */
const REMEMBERED = 12;

export class Camera {
  #video = Object.assign(document.createElement("video"), { playsInline: true, muted: true });
  #times = [];
  #turn = 0;

  get on() {
    return this.#video.srcObject !== null;
  }

  /** Frames a second of late; 0 before there are two. */
  get rate() {
    const span = this.#times.at(-1) - this.#times[0];
    return span > 0 ? (1000 * (this.#times.length - 1)) / span : 0;
  }

  /**
   * Opens the camera and calls `take(bitmap)` with a frame, again when that is done. `ended()` is called when the
   * camera goes away by itself. Rejects where there is no camera, or no permission.
   */
  async start(take, ended) {
    const turn = (this.#turn += 1);
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 }, height: { ideal: 480 } } });
    if (turn !== this.#turn) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    for (const track of stream.getTracks()) track.addEventListener("ended", () => turn === this.#turn && ended());
    this.#video.srcObject = stream;
    this.#times = [];
    await this.#video.play();
    this.#run(turn, take);
  }

  /** Turns the camera off: its light goes out. */
  stop() {
    this.#turn += 1;
    for (const track of this.#video.srcObject?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
  }

  async #run(turn, take) {
    while (turn === this.#turn) {
      // Waits while the page is out of sight.
      await new Promise(requestAnimationFrame);
      if (turn !== this.#turn || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      await take(await createImageBitmap(this.#video));
      this.#times.push(performance.now());
      if (this.#times.length > REMEMBERED) this.#times.shift();
    }
  }
}
