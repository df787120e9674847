"""What is asked of every result of a corpus."""

from dataclasses import dataclass

from sgmse.audio import ClipMode, Source, Writer, blocks, check_target, info, make_folder
from sgmse.corpus.jobs import Job, Made
from sgmse.corpus.shards import Named, enhance_shard, is_shard
from sgmse.enhancer import Enhancer, Progress
from sgmse.plot import before_after, save


@dataclass(frozen=True)
class Settings:
    """What is asked of every result; see `sgmse.Enhancer.enhance_file`."""

    seed: int = 0
    dry: float | None = None
    strength: float | None = None
    max_attenuation: float | None = None
    upper_band: bool = True
    format: str | None = None
    bitrate: float | None = None
    clip_mode: ClipMode = "clamp"
    overwrite: bool = False

    def enhance(
        self,
        enhancer: Enhancer,
        job: Job,
        progress: Progress | None = None,
        *,
        into: Source | None = None,
    ) -> Made | None:
        """Do a job, on this machine; its result goes to its target, or `into` another place.

        Returns what there is to say of a shard. Raises and warns as `Enhancer.enhance_file`.
        """
        if job.target is not None and job.opened is None and is_shard(job.source):

            def enhance(sound: Named, name: str) -> bytes:
                out = Named(job.target / name) if job.target else Named(name)
                self._enhance(enhancer, sound, out)
                return out.getvalue()

            return enhance_shard(job.source, job.target, enhance, self.format, self.overwrite)
        self._enhance(enhancer, job.sound, job.place if into is None else into, progress)
        if job.picture is not None:
            save(before_after(job.sound, job.target), job.picture, overwrite=self.overwrite)
        return None

    def _enhance(
        self,
        enhancer: Enhancer,
        source: Source,
        target: Source | None,
        progress: Progress | None = None,
    ) -> None:
        enhancer.enhance_file(
            source,
            target,
            seed=self.seed,
            dry=self.dry,
            strength=self.strength,
            max_attenuation=self.max_attenuation,
            upper_band=self.upper_band,
            format=self.format,
            bitrate=self.bitrate,
            clip_mode=self.clip_mode,
            overwrite=self.overwrite,
            progress=progress,
        )

    def write(self, job: Job, wave: Source) -> None:
        """Write the result of a job, a wave of float samples, as `enhance` does."""
        assert job.target is not None  # those of a cluster have one
        about = info(job.source)
        check_target(job.target, job.source, self.overwrite)
        writer = Writer(
            job.target,
            about,
            self.format,
            bitrate=self.bitrate,
            clip_mode=self.clip_mode,
            rest=job.source,
        )
        make_folder(job.target.parent)
        with writer:
            for block in blocks(wave):
                writer.write(block)
        writer.tell_clipped()
