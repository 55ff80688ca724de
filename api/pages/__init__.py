"""The pages people see: server-rendered, usable without JavaScript."""

from api.pages.routes import router

__all__ = ["router"]
