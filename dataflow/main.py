"""What the launcher of the Flex Template runs: the main job."""

from pipelines.running import run

if __name__ == "__main__":
    run()
