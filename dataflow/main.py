"""What the launcher of the Flex Template runs: the main job."""

from pipelines.session_metrics import run

if __name__ == "__main__":
    run()
