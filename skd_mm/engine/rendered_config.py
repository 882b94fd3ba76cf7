"""A config whose text is rendered once."""

from mmengine.config import Config


class RenderedConfig(Config):
    """A config that renders its text again only if it has changed.

    MMEngine's Runner writes the text into every checkpoint, and formatting it takes longer than writing a small one.
    """

    @classmethod
    def of(cls, cfg: Config) -> 'RenderedConfig':
        """Make a rendered config that shares its values with another config."""
        rendered = cls.__new__(cls)
        rendered.__dict__.update(cfg.__dict__)
        return rendered

    @property
    def pretty_text(self) -> str:
        """Python source of the config, as MMEngine formats it."""
        content = repr(self._cfg_dict)
        kept = self.__dict__
        if kept.get('_rendered_content') != content:
            kept.update(_rendered_content=content, _rendered_text=super().pretty_text)
        return kept['_rendered_text']
